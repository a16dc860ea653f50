"""`kmixer evaluate`."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from .terminal import Backend, DataDir, Json, Quiet, Terminal, percent

AVERAGE = "macro average"  # over the classes that have images


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="Another data set or image folder, of classes that the run knows; of a folder all"
            " labelled images are measured. Default: its own test set."
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, validation or test; default: see DATASET.")
    ] = None,
    flip_averaging: Annotated[
        bool,
        typer.Option("--flip-averaging", help="Average over each image and its mirror image."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Where to write; default: evaluation/ in the run's folder.")
    ] = None,
    backend: Backend = None,
    data_dir: DataDir = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measure a run: accuracy, loss, per class, confusion matrix, calibration, all mistakes.

    Where its own images have changed, none is measured that it was trained on or chosen by.

    Example: kmixer evaluate saved_models/fmnist-1
    """
    from kmixer.errors import SettingsError, nearest
    from kmixer.evaluation.images import check_available, choose_images
    from kmixer.runs.run import load_run

    names = ("train", "validation", "test")
    if split is not None and split not in names:
        raise SettingsError(f"--split: received {split!r}{nearest(split, names)}")
    opened = load_run(run)
    opened.check_model()  # this and the images before anything slow is imported
    check_available(opened, dataset, data_dir)
    from kmixer.backend import choose

    choose(backend or opened.settings.training.backend)
    terminal = Terminal(quiet, as_json)
    with terminal.bar("reading") as progress:
        images = choose_images(opened, dataset, data_dir, split, progress)
    from .loading import start

    start()
    from kmixer.evaluation.evaluate import evaluate

    from .progress import MeasuringProgress

    with closing(MeasuringProgress(terminal)) as measuring:
        metrics, folder = evaluate(opened, images, flip_averaging, [measuring], out)
    _print(terminal, metrics)
    if folder:
        files = "metrics.json, confusion_matrix.png, reliability.png, mistakes.png, mistakes.csv"
        terminal.say(f"in {folder}: {files}")
    else:
        terminal.say(f"{run} is read-only: nothing was written; --out DIR writes it elsewhere")
    terminal.result({"folder": folder and str(folder)} | metrics)


def _print(terminal: Terminal, metrics: Mapping[str, Any]) -> None:
    for note in metrics["notes"]:
        terminal.say(f"note: {note}")
    rows = [
        [
            name,
            *(percent(row[key]) for key in ("precision", "recall", "f1")),
            f"{row['support']:,.0f}",
        ]
        for name, row in [*metrics["per_class"].items(), (AVERAGE, metrics["macro_average"])]
        if row["support"]
    ]
    split = "all labelled" if metrics["split"] == "all" else metrics["split"]
    title = f"{metrics['dataset']}, {split}: {metrics['examples']:,} images"
    if metrics["flip_averaging"]:
        title += ", each averaged with its mirror image"
    terminal.table(title, ["class", "precision", "recall", "F1", "images"], rows)
    low, high = metrics["accuracy_interval"]
    interval = f"95 % interval {100 * low:.2f} to {percent(high)}"
    top = metrics["top_5_accuracy"]
    parts = [
        f"accuracy {percent(metrics['accuracy'])} ({interval})",
        *([] if top is None else [f"top 5 {percent(top)}"]),
        f"balanced accuracy {percent(metrics['balanced_accuracy'])}",
        f"loss {metrics['loss']:.4f}",
        f"calibration error {percent(metrics['calibration_error'])}",
    ]
    terminal.say(", ".join(parts))
    if copies := metrics["copies"]:
        terminal.say(
            f"{copies['examples']:,} of these images are exact copies of images that it was trained"
            f" on or chosen by; accuracy without them: {percent(copies['accuracy_without'])}"
        )
