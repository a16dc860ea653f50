"""`kmixer benchmark`."""

from typing import Annotated

import typer

from .terminal import Backend, DataDir, Json, Quiet, Set, Terminal


def benchmark(
    dataset: Annotated[str, typer.Argument(help="As for train.")] = "fmnist",
    preset: Annotated[str, typer.Option(help="Which model and augmentation.")] = "fmnist-pyramid",
    steps: Annotated[int, typer.Option(min=10, help="Training steps per measurement.")] = 60,
    rounds: Annotated[int, typer.Option(min=1, help="Measure so often, give medians.")] = 1,
    backend: Backend = None,
    data_dir: DataDir = None,
    assignments: Set = None,
    quiet: Quiet = False,
    as_json: Json = False,
):
    """Measure how fast this machine trains, and what that is compared to what it could.

    Example: kmixer benchmark fmnist --rounds 3
    """
    from .train import load_settings, start

    flags = {"data.dir": data_dir, "training.backend": backend}
    _, settings = load_settings(dataset, preset, None, flags, assignments)
    start(settings.training.backend)
    from kmixer.benchmark import benchmark as measure

    terminal = Terminal(quiet, as_json)
    with terminal.bar("measuring") as progress:
        report = measure(settings, steps=steps, rounds=rounds, progress=progress)
    _print(terminal, report)
    terminal.result(report)


def _print(terminal, report):
    rates, ratios, jit = report["rates"], report["ratios"], report["jit"]
    step = f"(a) bare train step, {'with' if jit else 'without'} jit"
    rows = [
        [step, f"{rates['step']:,.0f} examples/s"],
        ["(b) kmixer train, whole epoch", f"{rates['train']:,.0f} examples/s"],
        ["(c) plain Keras, augmenting single images", f"{rates['plain_keras']:,.0f} examples/s"],
        ["input pipeline alone", f"{rates['pipeline']:,.0f} images/s"],
        ["RandAugment, draws for each image", f"{rates['rand_augment']:,.0f} images/s"],
        ["keras.layers.RandAugment", f"{rates['keras_rand_augment']:,.0f} images/s"],
        ["float32 matrix product, NumPy", f"{rates['matmul_gflops']:,.0f} GFLOP/s"],
        ["the same on the backend", f"{rates['backend_matmul_gflops']:,.0f} GFLOP/s"],
        ["(a) in FLOPs", f"{report['step_gflops']:,.0f} GFLOP/s"],
        ["(b) / (a)", ratios["train_over_step"]],
        ["(b) / (c)", ratios["train_over_plain_keras"]],
        ["(a) / matrix product, NumPy", ratios["step_over_matmul"]],
        ["(a) / matrix product, backend", ratios["step_over_backend_matmul"]],
        ["pipeline / (b)", ratios["pipeline_over_train"]],
        ["RandAugment / Keras' own", ratios["rand_augment_over_keras"]],
    ]
    if "step_other_jit" in rates:
        other = f"(a) {'without' if jit else 'with'} jit"
        rows.insert(1, [other, f"{rates['step_other_jit']:,.0f} examples/s"])
    title = f"{report['dataset']}, {report['backend']}, {report['precision']}"
    terminal.table(title, ["measured", "figure"], rows)
