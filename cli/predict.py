"""`kmixer predict`."""

from collections.abc import Callable, Iterator, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .terminal import Backend, Json, Quiet, Terminal, percent, say_error

if TYPE_CHECKING:
    import numpy as np

    from kmixer.exporting.artifact import Artifact
    from kmixer.runs.inference import Prediction
    from kmixer.runs.run import Run

    from .explaining import Explainer

    Tops = list[tuple[Prediction, list[tuple[str, float]]]]

LARGE_IMAGE = 16_000_000  # bytes of pixels


def predict(
    run: Annotated[
        Path, typer.Argument(help="A run, or what `export` wrote: its folder, or the file in it.")
    ],
    images: Annotated[
        list[str], typer.Argument(help="Image files, folders, or quoted patterns such as '*.png'.")
    ],
    top: Annotated[int, typer.Option(min=1, help="How many classes to print for each image.")] = 3,
    invert: Annotated[
        bool,
        typer.Option("--invert", help="Swap black and white: Fashion-MNIST is white on black."),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first file that cannot be read.")
    ] = False,
    csv: Annotated[Path | None, typer.Option(help="Write the table to this file too.")] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Draw what speaks for the class: NAME.explained.png each."),
    ] = False,
    explain_class: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Explain this class, not the predicted one.")
    ] = None,
    explain_by: Annotated[
        str, typer.Option(metavar="WAY", help="image: what counts; tokens: where the head reads.")
    ] = "image",
    out: Annotated[
        Path | None, typer.Option(help="The folder of the pictures; default: this one.")
    ] = None,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Pixels of an image file; larger ones are not read.")
    ] = 250_000_000,
    backend: Backend = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Classify images: print the most probable classes of each file.

    Files are turned upright, scaled and cropped as in training. Exit code 1 if one cannot be read.

    Example: kmixer predict saved_models/fmnist-1 photo.png --explain
    """
    from dataclasses import replace

    from kmixer.data.image_files import find_images
    from kmixer.errors import few
    from kmixer.files import atomic
    from kmixer.runs.inference import predict_files

    opened = _open(run)  # before anything slow is imported
    files = find_images(images)
    if csv:
        atomic.check_writable(csv)
    explainer = _explainer(opened, explain, explain_class, explain_by, out, files)
    model = _model(opened, backend, len(files))
    terminal = Terminal(quiet, as_json)
    decoding = replace(opened.decoding, max_pixels=max_pixels)
    answered = predict_files(
        model, files, decoding, invert=invert, strict=strict, keep_pixels=explainer is not None
    )
    predictions = []
    with terminal.bar("predicting") as progress:
        for prediction in answered:
            if explainer and not prediction.error:
                explainer.explain(prediction, backend)
            predictions.append(replace(prediction, pixels=None))
            progress(len(predictions), len(files))
    good = [prediction for prediction in predictions if not prediction.error]
    tops = [(prediction, prediction.top(opened.class_names, top)) for prediction in good]
    answers = _answers(opened, good)
    columns = min(top, len(opened.class_names))
    _print_table(terminal, tops, answers, columns)
    if csv:
        atomic.write_text(csv, _as_csv(tops, answers, columns))
    explained = explainer.found if explainer else {}
    if explained:
        terminal.say(f"explained: {few([found['picture'] for found in explained.values()])}")
    failed = [prediction for prediction in predictions if prediction.error]
    _report(terminal, tops, answers, explained, failed)


def _open(path: Path) -> "Run | Artifact":
    """Return the run or the export that a path means."""
    from kmixer.exporting.artifact import find_export, load_artifact
    from kmixer.runs.naming import run_path
    from kmixer.runs.run import load_run

    if folder := find_export(run_path(path)):
        return load_artifact(folder)
    opened = load_run(path)
    opened.check_finished()
    opened.check_model()
    return opened


def _explainer(
    opened: "Run | Artifact",
    explain: bool,
    class_name: str | None,
    by: str,
    out: Path | None,
    files: "Sequence[Path]",
) -> "Explainer | None":
    """Return what explains the images, if that is asked for."""
    from kmixer.errors import SettingsError

    from .explaining import Explainer

    if explain or class_name is not None:
        return Explainer(opened, class_name, by, out or Path(), files)
    if out is not None:
        raise SettingsError(f"--out: received {str(out)!r}, expected --explain beside it")
    return None


def _model(
    opened: "Run | Artifact", backend: str | None, files: int
) -> "Callable[[np.ndarray], np.ndarray]":
    """Return a run's or an export's model as a function of pixels.

    A run's in NumPy, where that is possible; else its first call imports Keras, as a rule.
    """
    from functools import cache

    from kmixer.backend import choose
    from kmixer.exporting.artifact import Artifact
    from kmixer.runs.inference import predict_probabilities
    from kmixer.runs.numpy_model import MOST_IMAGES, numpy_model

    from .loading import start

    if isinstance(opened, Artifact):
        return opened.open()[0]
    run = opened
    choose(backend or run.settings.training.backend)
    if backend is None and files <= MOST_IMAGES and (model := numpy_model(run)):
        return model

    @cache
    def load() -> Any:
        start()
        return run.load_model()

    if prod(run.info["input_shape"]) > LARGE_IMAGE:
        load()  # before images of such a size are made, which the model may not even take
    return lambda pixels: predict_probabilities(load(), pixels)


def _answers(opened: "Run | Artifact", predictions: "list[Prediction]") -> "list[dict[str, Any]]":
    """Return the answer about each image; empty ones where the model has no thresholds."""
    answers = opened.answers
    if answers is None:
        return [{} for _ in predictions]
    return [answers.of(one.probabilities, opened.class_names) for one in predictions]


def _print_table(
    terminal: Terminal, tops: "Tops", answers: "list[dict[str, Any]]", columns: int
) -> None:
    if not tops:
        return
    header = ["file", *(f"{rank}." for rank in range(1, columns + 1))]
    rows = [
        [str(prediction.path), *(f"{name} {percent(share)}" for name, share in classes)]
        for prediction, classes in tops
    ]
    if answers[0]:
        header.append(f"answer, {100 * answers[0]['coverage']:g} %")
        rows = [[*row, answer["says"]] for row, answer in zip(rows, answers, strict=True)]
    terminal.table(None, header, rows, fold=False)


def _report(
    terminal: Terminal,
    tops: "Tops",
    answers: "list[dict[str, Any]]",
    explained: dict[Path, dict[str, Any]],
    failed: "Sequence[Prediction]",
) -> None:
    """Print the JSON object, then the files that could not be read; with some, exit with 1."""
    images = [
        {
            "file": _decoded(prediction.path),
            "classes": [{"class": name, "probability": share} for name, share in classes],
            **({"answer": answer} if answer else {}),
            **({"explanation": explained[prediction.path]} if explained else {}),
        }
        for (prediction, classes), answer in zip(tops, answers, strict=True)
    ]
    errors = [{"file": _decoded(p.path), "error": p.error} for p in failed]
    terminal.result({"images": images, "failed": errors})
    for prediction in failed:
        say_error(prediction.error)
    if failed:
        total = len(tops) + len(failed)
        say_error(f"{len(failed)} of {total} files could not be read")
        raise typer.Exit(1)


def _decoded(path: Path) -> str:
    """Return a path as a text of Unicode, whatever bytes its name has."""
    import os

    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _as_csv(tops: "Tops", answers: "list[dict[str, Any]]", columns: int) -> str:
    from kmixer.files.text import csv_text

    ranks = range(1, columns + 1)
    header = ["file", *(f"{kind}_{rank}" for rank in ranks for kind in ("class", "probability"))]
    header += ["known", "set"] if any(answers) else []
    rows: Iterator[list[Any]] = (
        [
            str(prediction.path),
            *(cell for pair in classes for cell in pair),
            *([answer["known"], " | ".join(answer["set"])] if answer else []),
        ]
        for (prediction, classes), answer in zip(tops, answers, strict=True)
    )
    return csv_text(header, (dict(zip(header, row, strict=True)) for row in rows))
