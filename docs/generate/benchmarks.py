"""The results page's sections on speed, from what `kmixer benchmark --json` printed."""

import json

# What the page says of each measurement, in this order, where it was made.
RATES = {
    "step": "(a) bare train step, the same batch: {:,.0f} examples/s",
    "step_other_jit": "(a) with the other jit setting: {:,.0f} examples/s",
    "train": "(b) the whole of `kmixer train`: {:,.0f} examples/s",
    "plain_keras": "(c) plain Keras, augmenting single images: {:,.0f} examples/s",
    "plain_torch": "(f) plain PyTorch, its bare step, float32: {:,.0f} examples/s",
    "plain_torch_bfloat16": "(g) the same in bfloat16: {:,.0f} examples/s",
    "plain_torch_compiled": "(h) the same with `torch.compile`: {:,.0f} examples/s",
    "reading": "reading and decoding the data set, once: {:,.0f} images/s",
    "pipeline": "input pipeline alone: {:,.0f} images/s",
    "on_host": "(d) augmenting on the host: {:,.0f} examples/s",
    "on_accelerator": "(e) images resident, augmented in the step: {:,.0f} examples/s",
    "rand_augment": "input pipeline with RandAugment alone: {:,.0f} images/s",
    "keras_rand_augment": "`keras.layers.RandAugment` mapped over batches: {:,.0f} images/s",
    "matmul_gflops": "float32 matrix product of 2048², NumPy's BLAS: {:,.0f} GFLOP/s",
    "backend_matmul_gflops": "matrix product on the backend, in the training's precision: {:,.0f} GFLOP/s",
    "step_gflops": "(a) in FLOPs: {:,.0f} GFLOP/s",
    "epoch_seconds": "an epoch: {:,.1f} s",
}
RATIOS = {
    "train_over_step": "(b) / (a), to reach 0.85",
    "train_over_plain_keras": "(b) / (c), to reach 1.5",
    "step_over_plain_torch": "(a) / (f)",
    "step_over_plain_torch_bfloat16": "(a) / (g)",
    "step_over_plain_torch_compiled": "(a) / (h)",
    "step_over_matmul": "(a) / matrix product of NumPy's BLAS, to reach 0.7",
    "step_over_backend_matmul": "(a) / matrix product of the backend, for B/16 on a GPU to reach 0.4",
    "reading_over_train": "reading / (b)",
    "pipeline_over_train": "pipeline / (b), to reach 20",
    "accelerator_over_host": "(e) / (d), on a GPU to reach 5",
    "rand_augment_over_keras": "RandAugment / Keras' own, to reach 5",
}


def benchmarks(folder):
    """Return the lines of a section for each whole measurement, and of one for the steps alone.

    Args:
        folder: holds the outputs in `benchmark*.json`.
    """
    reports = [json.loads(path.read_text()) for path in sorted(folder.glob("benchmark*.json"))]
    whole = [report for report in reports if "train" in report["rates"] or not _on_cpu(report)]
    others = [report for report in reports if report not in whole]
    compared = [report for report in others if "plain_torch" in report["rates"]]
    steps = [report for report in others if report not in compared]
    lines = [line for report in whole for line in _whole(report)]
    lines += _compared(compared) if compared else []
    return lines + (_steps(steps) if steps else [])


def _on_cpu(report):
    return report["device"].startswith("cpu")


def _whole(report):
    rates, ratios = report | report["rates"], report["ratios"]
    rows = [text.format(rates[name]).split(": ") for name, text in RATES.items() if name in rates]
    rows += [(text, ratios[name]) for name, text in RATIOS.items() if name in ratios]
    place = f"Medians; {_setting(report)}, {report['device']}, commit {report['git_commit']}."
    return ["", f"## Speed: `{report['command']}`", "", place, "", "| measured | figure |",
            "| --- | --- |", *(f"| {name} | {figure} |" for name, figure in rows)]  # fmt: skip


def _compared(reports):
    lines = [
        "", "## Speed: beside plain PyTorch", "",
        "The bare train step of kmixer, and of the same model as one writes it in PyTorch (strided"
        " convolution, GELU by tanh, AdamW, eager; bfloat16 by autocast), in examples/s, measured in turn;"
        " medians.", "",
        "| command | kmixer | PyTorch float32 | PyTorch bfloat16 | times float32 | times bfloat16 | on |",
        "| --- " * 7 + "|",
    ]  # fmt: skip
    for report in reports:
        rates, ratios = report["rates"], report["ratios"]
        lines.append(
            f"| `{report['command']}` | {rates['step']:,.0f} | {rates['plain_torch']:,.0f}"
            f" | {rates['plain_torch_bfloat16']:,.0f} | {ratios['step_over_plain_torch']:.2f}"
            f" | {ratios['step_over_plain_torch_bfloat16']:.2f}"
            f" | {_setting(report)}, {report['device']} with"
            f" {' and '.join(report['bfloat16_units']) or 'no unit for bfloat16'},"
            f" commit {report['git_commit']} |"
        )
    return lines


def _steps(reports):
    lines = [
        "", "## Speed: what an epoch would take", "",
        "By the rate of the bare train step, for models whose epochs take too long to be measured"
        " whole.", "",
        "| command | parameters | examples/s | GFLOP/s | minutes an epoch | on |",
        "| --- " * 6 + "|",
    ]  # fmt: skip
    for report in sorted(reports, key=lambda report: report["epoch_seconds"]):
        lines.append(
            f"| `{report['command']}` | {report['parameters']:,} | {report['rates']['step']:,.1f}"
            f" | {report['step_gflops']:,.0f} | {report['epoch_seconds'] / 60:,.1f}"
            f" | {_setting(report)}, {report['device']}, commit {report['git_commit']} |"
        )
    return lines


def _setting(report):
    jit = "jit on" if report["jit"] else "jit off"
    return f"{report['backend']}, {report['precision']}, {jit}"
