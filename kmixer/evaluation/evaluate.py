"""Measure a trained model on a data set, and show where it errs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import load_splits
from ..errors import DataError
from ..files import atomic
from ..runs.inference import predict_probabilities
from . import figures
from .predictions import Predictions, worst_mistakes

if TYPE_CHECKING:
    import keras

    from ..data import Dataset, Split
    from ..runs.run import Run

    Callbacks = Iterable[keras.callbacks.Callback]


@dataclass(frozen=True)
class SplitMetrics:
    """How good a model is on several splits.

    Attributes:
        metrics: loss and accuracy by the split's name; None for a test split that was not read.
        confusion_matrix: of the last split, int `(classes, classes)`.
    """

    metrics: dict[str, dict[str, float] | None]
    confusion_matrix: np.ndarray


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


def measure_splits(
    model: keras.Model,
    dataset: Dataset,
    splits: Sequence[str] = ("validation", "test"),
    callbacks: Callbacks = (),
) -> SplitMetrics:
    """Measure a model on splits; the confusion matrix is of the last one."""
    metrics: dict[str, dict[str, float] | None] = {"test": None}
    for name in splits:
        predictions = predict_split(model, dataset.splits[name], callbacks=callbacks)
        metrics[name] = {"loss": predictions.loss, "accuracy": predictions.accuracy}
    return SplitMetrics(metrics, predictions.confusion_matrix)


def evaluate(
    run: Run,
    dataset: Dataset,
    split_name: str = "test",
    flip_averaging: bool = False,
    callbacks: Callbacks = (),
) -> tuple[dict[str, Any], Path]:
    """Evaluate a run's best weights; write metrics and figures into its folder `evaluation`.

    Args:
        run: a `Run`.
        dataset: a `Dataset` with the same classes and image shape.
        split_name: `"train"`, `"validation"` or `"test"`.
        flip_averaging: see `predict_split`.
        callbacks: see `predict_split`.

    Returns:
        (metrics as a JSON-able dict, the folder they were written to).

    Raises:
        DataError: the data set's classes or image shape are not the run's.
        RunError: the weights cannot be read, or the folder cannot be written.
    """
    check_matches(run, dataset)
    split = dataset.splits[split_name]
    predictions = predict_split(run.load_model(), split, flip_averaging, callbacks)
    name = f"{dataset.name}-{split_name}{'-flip' if flip_averaging else ''}"
    folder = run.folder / "evaluation" / name
    atomic.make_folder(folder)
    metrics = {
        "dataset": dataset.name,
        "split": split_name,
        "flip_averaging": flip_averaging,
        "examples": len(split),
        "accuracy": predictions.accuracy,
        "loss": predictions.loss,
        "calibration_error": predictions.calibration_error,
        "per_class": predictions.per_class(dataset.class_names),
        "confusion_matrix": predictions.confusion_matrix.tolist(),
    }
    atomic.write_text(folder / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    _save_figures(predictions, split, dataset.class_names, folder)
    return metrics, folder


def _save_figures(
    predictions: Predictions, split: Split, class_names: Sequence[str], folder: Path
) -> None:
    matrix = figures.confusion_matrix(predictions.confusion_matrix, class_names)
    figures.save(matrix, folder / "confusion_matrix.png")
    mistakes = worst_mistakes(predictions, class_names)
    titles = [f"{m.truth}\nsaid {m.predicted} {m.probability:.0%}" for m in mistakes]
    images = split.images[[m.index for m in mistakes]]
    figures.save(figures.images(images, titles, columns=8), folder / "mistakes.png")


def load_data(run: Run, name: str | None = None, folder: str | None = None) -> Dataset:
    """Load the run's own data set with its splits, or another one in the run's image size.

    Args:
        run: the `Run`.
        name: of another data set.
        folder: where prepared data sets lie; default as for the run.

    Raises:
        KmixerError: the data set cannot be loaded, or the run has none and none is named.
    """
    data = run.settings.data
    if name is None and data.name is None:
        raise DataError(
            f"{run.folder}: its weights were imported without a data set; name one that has its"
            f" classes: kmixer evaluate {run.folder} DATASET"
        )
    changes: dict[str, Any] = {"name": name or data.name, "dir": folder or data.dir}
    if name is not None:
        changes |= {"validation_size": None, "train_per_class": None}
    return load_splits(data.model_copy(update=changes))


def check_matches(run: Run, dataset: Dataset) -> None:
    """Refuse a data set with other classes or another image shape than the run's.

    Raises:
        DataError: see above.
    """
    if run.class_names != tuple(dataset.class_names):
        raise DataError(
            f"{dataset.name}: {len(dataset.class_names)} classes {list(dataset.class_names)[:3]}…,"
            f" expected the run's {len(run.class_names)} {list(run.class_names)[:3]}…"
        )
    if list(dataset.image_shape) != run.info["input_shape"]:
        raise DataError(
            f"{dataset.name}: images of {dataset.image_shape}, expected {run.info['input_shape']}"
        )
