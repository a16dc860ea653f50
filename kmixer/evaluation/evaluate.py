"""Measure a trained model on a data set, and show where it errs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import atomic
from ..files.opened import refuse_links
from ..files.text import csv_text, percent
from ..runs.inference import predict_probabilities
from .mistakes import MISTAKE_COLUMNS, all_mistakes
from .predictions import Predictions, worst_mistakes

SCORES = ("loss", "accuracy", "balanced_accuracy", "macro_f1", "calibration_error")

if TYPE_CHECKING:
    import keras

    from ..data import Dataset, Split
    from ..runs.run import Run
    from .images import MeasuredImages

    Callbacks = Iterable[keras.callbacks.Callback]


def predict_split(
    model: keras.Model, split: Split, flip_averaging: bool = False, callbacks: Callbacks = ()
) -> Predictions:
    """Run a model over a split.

    Args:
        model: uint8 images → logits.
        split: a `Split`.
        flip_averaging: average the probabilities of each image and of its mirror image.
        callbacks: Keras callbacks, such as a progress display.
    """
    probabilities = predict_probabilities(model, split.images, callbacks)
    if flip_averaging:
        mirrored = predict_probabilities(model, split.images, callbacks, mirrored=True)
        probabilities = (probabilities + mirrored) / 2
    return Predictions(probabilities, split.labels)


def predict_splits(
    model: keras.Model, dataset: Dataset, splits: Sequence[str], callbacks: Callbacks = ()
) -> dict[str, Predictions]:
    """Run a model over several splits; its predictions, by their names."""
    return {
        name: predict_split(model, dataset.splits[name], callbacks=callbacks) for name in splits
    }


def split_metrics(predictions: Mapping[str, Predictions]) -> dict[str, dict[str, float] | None]:
    """Return `SCORES` by the split's name; None for a test split that was not read."""
    scores: dict[str, dict[str, float] | None] = {"test": None}
    return scores | {
        name: {key: getattr(of_split, key) for key in SCORES}
        for name, of_split in predictions.items()
    }


def evaluate(
    run: Run,
    images: MeasuredImages,
    flip_averaging: bool = False,
    callbacks: Callbacks = (),
    out: str | Path | None = None,
) -> tuple[dict[str, Any], Path | None]:
    """Evaluate a run's best weights; write metrics, figures and all mistakes into a folder.

    Args:
        run: a `Run`.
        images: what `choose_images` returned.
        flip_averaging: see `predict_split`.
        callbacks: see `predict_split`.
        out: the folder; default one in the run's folder `evaluation`.

    Returns:
        (metrics as a JSON-able dict, the folder they were written to; None: the run's folder is
        read-only, and nothing was written).

    Raises:
        RunError: the weights cannot be read, or the folder cannot be written.
    """
    name = f"{images.dataset}-{images.split_name}{'-flip' if flip_averaging else ''}"
    folder, within = (Path(out), None) if out else (run.folder / "evaluation" / name, run.folder)
    if within:
        refuse_links(folder, within)
    writable = out is not None or not atomic.is_read_only(folder)
    if writable:  # or it fails before the images are measured
        atomic.make_folder(folder, within)
        atomic.check_writable(folder / "metrics.json")
    predictions = predict_split(run.load_model(), images.split, flip_averaging, callbacks)
    metrics = _metrics(run, images, predictions) | {"flip_averaging": flip_averaging}
    if not writable:
        return metrics, None
    atomic.write_text(folder / "metrics.json", json.dumps(metrics, indent=2) + "\n", within)
    mistakes = all_mistakes(predictions, images.split, run.class_names)
    atomic.write_text(folder / "mistakes.csv", csv_text(MISTAKE_COLUMNS, mistakes), within)
    _save_figures(predictions, images.split, run.class_names, folder, within)
    return metrics, folder


def _metrics(run: Run, images: MeasuredImages, predictions: Predictions) -> dict[str, Any]:
    return {
        "dataset": images.dataset,
        "split": images.split_name,
        "examples": len(images.split),
        **{key: getattr(predictions, key) for key in SCORES},
        "accuracy_interval": list(predictions.accuracy_interval),
        "top_5_accuracy": predictions.top_5_accuracy,
        "macro_average": predictions.macro_average(),
        "per_class": predictions.per_class(run.class_names),
        "confusion_matrix": predictions.confusion_matrix.tolist(),
        "left_out": images.left_out,
        "copies": _without_copies(images, predictions),
        "notes": list(images.notes),
    }


def _without_copies(images: MeasuredImages, predictions: Predictions) -> dict[str, Any] | None:
    """Return how many images are copies of the run's own, and the accuracy without them."""
    if images.copies is None or not images.copies.any():
        return None
    other = ~images.copies
    rest = Predictions(predictions.probabilities[other], predictions.labels[other])
    accuracy = rest.accuracy if other.any() else None
    return {"examples": int(images.copies.sum()), "accuracy_without": accuracy}


def _save_figures(
    predictions: Predictions,
    split: Split,
    class_names: Sequence[str],
    folder: Path,
    within: Path | None,
) -> None:
    from . import figures, fonts  # imports Matplotlib, which a training needs only at its end

    matrix = figures.confusion_matrix(predictions.confusion_matrix, class_names)
    figures.save(matrix, folder / "confusion_matrix.png", within)
    reliability = figures.reliability(predictions.calibration)
    figures.save(reliability, folder / "reliability.png", within)
    mistakes = worst_mistakes(predictions, fonts.drawable(class_names))
    # The number before the name: after an Arabic or Hebrew one it would stand on its other side.
    titles = [f"{m.truth}\nsaid {percent(m.probability, 0)}: {m.predicted}" for m in mistakes]
    images = split.images[[m.index for m in mistakes]]
    grid = figures.images(images, titles, columns=8)
    figures.save(grid, folder / "mistakes.png", within)
