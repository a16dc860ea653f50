"""`kmixer predict`."""

from pathlib import Path
from typing import Annotated

import typer

from .terminal import Backend, Json, Quiet, Terminal, percent


def predict(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    images: Annotated[
        list[str], typer.Argument(help="Image files, folders, or quoted patterns such as '*.png'.")
    ],
    top: Annotated[int, typer.Option(min=1, help="How many classes to tell of each image.")] = 3,
    invert: Annotated[
        bool,
        typer.Option("--invert", help="Swap black and white: Fashion-MNIST is white on black."),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first file that cannot be read.")
    ] = False,
    csv: Annotated[Path | None, typer.Option(help="Write the table to this file too.")] = None,
    backend: Backend = None,
    quiet: Quiet = False,
    as_json: Json = False,
):
    """Say what is on images: the most probable classes of each file.

    Files are turned upright, scaled and cropped as in training. Exit code 1 if one cannot be read.

    Example: kmixer predict saved_models/fmnist-1 photo.png
    """
    from kmixer.backend import choose
    from kmixer.data.image_files import find_images
    from kmixer.files import atomic
    from kmixer.files.keras_archive import check_run
    from kmixer.runs.inference import answers
    from kmixer.runs.run import load_run

    opened = load_run(run)
    opened.check_finished()
    check_run(opened)  # before anything slow is imported
    files = find_images(images)
    if csv:
        atomic.check_writable(csv)
    choose(backend or opened.settings.training.backend)
    terminal = Terminal(quiet, as_json)
    model = _model(opened)
    said = []
    with terminal.bar("predicting") as progress:
        for answer in answers(
            model, files, opened.info["input_shape"], invert=invert, strict=strict
        ):
            said.append(answer)
            progress(len(said), len(files))
    _tell(terminal, said, opened.class_names, top, csv)


def _model(run):
    """Return the run's model as a function of pixels; Keras is imported when there are some."""
    from functools import cache

    from kmixer.runs.inference import probabilities

    from .loading import start

    @cache
    def load():
        start()
        return run.load_model()

    return lambda pixels: probabilities(load(), pixels)


def _tell(terminal, said, class_names, top, csv):
    """Print the table, write the CSV file, list the files that could not be read."""
    from kmixer.files import atomic

    good, bad = [a for a in said if not a.error], [a for a in said if a.error]
    tops = [answer.top(class_names, top) for answer in good]
    ranks = range(1, min(top, len(class_names)) + 1)
    if good:
        terminal.table(
            None,
            ["file", *(f"{rank}." for rank in ranks)],
            [
                [_shown(answer.path), *(f"{name} {percent(share)}" for name, share in classes)]
                for answer, classes in zip(good, tops, strict=True)
            ],
        )
    if csv:
        atomic.write_text(csv, _as_csv(good, tops, ranks))
    terminal.result(
        {
            "images": [
                {
                    "file": _shown(answer.path),
                    "classes": [{"class": name, "probability": share} for name, share in classes],
                }
                for answer, classes in zip(good, tops, strict=True)
            ],
            "failed": [{"file": _shown(answer.path), "error": answer.error} for answer in bad],
        }
    )
    for answer in bad:
        typer.echo(f"kmixer: {_shown(answer.error)}", err=True)
    if bad:
        typer.echo(f"kmixer: {len(bad)} of {len(said)} files could not be read", err=True)
        raise typer.Exit(1)


def _shown(path):
    """Return a path as text that can be printed, whatever bytes its name has."""
    import os

    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _as_csv(good, tops, ranks):
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["file", *(f"{what}_{rank}" for rank in ranks for what in ("class", "probability"))]
    )
    for answer, classes in zip(good, tops, strict=True):
        writer.writerow([_shown(answer.path), *(cell for pair in classes for cell in pair)])
    return text.getvalue()
