"""`kmixer evaluate`."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from .terminal import Backend, DataDir, Json, Quiet, Terminal, percent


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    dataset: Annotated[
        str | None, typer.Argument(help="Another data set of the same classes; default: its own.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    flip_averaging: Annotated[
        bool,
        typer.Option("--flip-averaging", help="Average over each image and its mirror image."),
    ] = False,
    backend: Backend = None,
    data_dir: DataDir = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measure a run: accuracy, loss, per class, confusion matrix, calibration, worst mistakes.

    Example: kmixer evaluate saved_models/fmnist-1
    """
    from kmixer.data import check_name
    from kmixer.errors import SettingsError, nearest
    from kmixer.runs.run import load_run

    names = ("train", "validation", "test")
    if split not in names:
        raise SettingsError(f"--split: received {split!r}{nearest(split, names)}")
    opened = load_run(run)
    opened.check_model()  # before anything slow is imported
    if dataset or opened.settings.data.name:
        check_name(dataset or opened.settings.data.name)
    from .loading import start

    start(backend or opened.settings.training.backend)
    from kmixer.evaluation.evaluate import evaluate, load_data

    from .progress import MeasuringProgress

    data = load_data(opened, dataset, data_dir)
    terminal = Terminal(quiet, as_json)
    with closing(MeasuringProgress(terminal)) as progress:
        metrics, folder = evaluate(opened, data, split, flip_averaging, [progress])
    _print(terminal, metrics, folder)
    terminal.result({"folder": str(folder)} | metrics)


def _print(terminal: Terminal, metrics: Mapping[str, Any], folder: Path) -> None:
    rows = [
        [
            name,
            *(percent(row[key]) for key in ("precision", "recall", "f1")),
            f"{row['support']:,.0f}",
        ]
        for name, row in metrics["per_class"].items()
    ]
    title = f"{metrics['dataset']}, {metrics['split']}: {metrics['examples']:,} images"
    if metrics["flip_averaging"]:
        title += ", each averaged with its mirror image"
    terminal.table(title, ["class", "precision", "recall", "F1", "images"], rows)
    terminal.say(
        f"accuracy {percent(metrics['accuracy'])}, loss {metrics['loss']:.4f},"
        f" calibration error {percent(metrics['calibration_error'])}"
    )
    terminal.say(f"in {folder}: metrics.json, confusion_matrix.png, mistakes.png")
