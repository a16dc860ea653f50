"""`kmixer benchmark`."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from .setting_options import with_setting_options
from .terminal import Json, Quiet, Set, Terminal

NOT_MEASURED = ("epochs", "class_weights", "distribute", "track")


@with_setting_options(without=NOT_MEASURED)
def benchmark(
    dataset: Annotated[str, typer.Argument(help="As for train.")] = "fmnist",
    preset: Annotated[
        str | None, typer.Option(help="Which model and augmentation; default: as for train.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Training steps per measurement.")] = 60,
    rounds: Annotated[int, typer.Option(min=1, help="Measure so often, give medians.")] = 1,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Measure only this: step, train, pipeline, …; may be repeated."),
    ] = None,
    tune_machine: Annotated[
        bool,
        typer.Option(
            "--tune-machine",
            help="Measure only which precision trains this model fastest, and keep it for"
            " training.precision=auto.",
        ),
    ] = False,
    assignments: Set = None,
    quiet: Quiet = False,
    as_json: Json = False,
    *,
    options: dict[str, Any],
) -> None:
    """Measure how fast this machine trains, beside how fast it could.

    Example: kmixer benchmark fmnist --preset fmnist-pyramid --rounds 3
    """
    from .loading import command_line, load_settings, start

    _, settings = load_settings(dataset, preset, None, options, assignments)
    start(settings.training.backend)
    terminal = Terminal(quiet, as_json)
    if tune_machine:
        _tune_machine(terminal, settings)
        return
    from kmixer.training.benchmark import benchmark as measure

    with terminal.bar("measuring") as progress:
        report = measure(settings, steps=steps, rounds=rounds, only=only or (), progress=progress)
    report = {"command": command_line()} | report
    _print(terminal, report)
    terminal.result(report)


def _tune_machine(terminal: Terminal, settings: Any) -> None:
    """Measure precisions, show their rates and keep them."""
    from kmixer.data import load_splits
    from kmixer.training.fastest_precision import TUNED_ROUNDS, fastest, measure
    from kmixer.training.resolve import resolve

    dataset = load_splits(settings.data)
    settings = resolve(settings.changed(training={"precision": "auto"}), dataset)
    with terminal.bar("measuring") as progress:
        rates = measure(settings, dataset, TUNED_ROUNDS, progress)
    chosen = fastest(settings, rates)
    backend = settings.training.backend
    rows = [[name, f"{rate:,.0f}"] for name, rate in rates.items()]
    terminal.table(f"{dataset.name}, {backend}", ["precision", "step, examples/s"], rows)
    terminal.say(f"training.precision=auto trains such a model in {chosen} here")
    terminal.result(
        {"backend": backend, "rates": rates, "precision": chosen.precision, "jit": chosen.jit}
    )


# What is shown, in this order, where it was measured.
RATES = {
    "step": "(a) bare train step, the same batch, examples/s",
    "step_other_jit": "(a) with jit the other way, examples/s",
    "train": "(b) kmixer train, whole epoch, examples/s",
    "plain_keras": "(c) plain Keras, augmenting single images, examples/s",
    "plain_torch": "(f) plain PyTorch, its bare step, float32, examples/s",
    "plain_torch_bfloat16": "(g) the same in bfloat16 (autocast), examples/s",
    "plain_torch_compiled": "(h) the same with torch.compile, examples/s",
    "on_host": "(d) augmenting on the host, examples/s",
    "on_accelerator": "(e) images resident and augmented in the step, examples/s",
    "reading": "reading and decoding the data set, once, images/s",
    "pipeline": "input pipeline alone, images/s",
    "rand_augment": "input pipeline with RandAugment alone, images/s",
    "keras_rand_augment": "keras.layers.RandAugment, images/s",
    "matmul_gflops": "float32 matrix product, NumPy, GFLOP/s",
    "backend_matmul_gflops": "matrix product on the backend, in its precision, GFLOP/s",
    "step_gflops": "(a) in GFLOP/s",
    "epoch_seconds": "an epoch, seconds",
}
RATIOS = {
    "train_over_step": "(b) / (a)",
    "train_over_plain_keras": "(b) / (c)",
    "step_over_plain_torch": "(a) / (f)",
    "step_over_plain_torch_bfloat16": "(a) / (g)",
    "step_over_plain_torch_compiled": "(a) / (h)",
    "accelerator_over_host": "(e) / (d)",
    "step_over_matmul": "(a) / matrix product, NumPy",
    "step_over_backend_matmul": "(a) / matrix product, backend",
    "reading_over_train": "reading / (b)",
    "pipeline_over_train": "pipeline / (b)",
    "rand_augment_over_keras": "RandAugment / Keras' own",
}


def _print(terminal: Terminal, report: Mapping[str, Any]) -> None:
    rates, ratios = {**report, **report["rates"]}, report["ratios"]
    rows = [[text, f"{rates[name]:,.0f}"] for name, text in RATES.items() if name in rates]
    rows += [[text, f"{ratios[name]:,.2f}"] for name, text in RATIOS.items() if name in ratios]
    if memory := report["peak_memory_bytes"]:
        rows.append(["peak memory of all that, GiB", f"{memory / 2**30:.1f}"])
    jit = "jit" if report["jit"] else "no jit"
    title = f"{report['dataset']}, {report['backend']}, {report['precision']}, {jit}"
    terminal.table(title, ["measured", "figure"], rows)
