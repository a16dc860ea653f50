"""A trained model → how well it does, and where it errs."""

import json
from dataclasses import dataclass

import numpy as np

from ..data import load_splits
from ..errors import DataError
from ..files import atomic
from ..runs.inference import predict_probabilities
from . import figures
from .predictions import Predictions, mistakes


@dataclass(frozen=True)
class SplitFigures:
    """Loss and accuracy on validation and test (None if not read), and a confusion matrix."""

    figures: dict
    confusion_matrix: np.ndarray


def predict(model, split, flip_averaging=False, watchers=()):
    """Run a model over a split.

    Args:
        model: uint8 images → logits.
        split: a `Split`.
        flip_averaging: average the probabilities of each image and of its mirror image.
        watchers: Keras callbacks, such as a progress display.
    """
    said = predict_probabilities(model, split.images, watchers)
    if flip_averaging:
        said = (said + predict_probabilities(model, split.images[:, :, ::-1], watchers)) / 2
    return Predictions(said, split.labels)


def measure_splits(model, dataset, splits=("validation", "test"), watchers=()):
    """Measure a model on splits; the confusion matrix is that of the last one."""
    said = {name: predict(model, dataset.splits[name], watchers=watchers) for name in splits}
    figures = {
        name: {"loss": predictions.loss, "accuracy": predictions.accuracy}
        for name, predictions in said.items()
    }
    return SplitFigures({"test": None} | figures, said[splits[-1]].confusion_matrix)


def evaluate(run, dataset, split_name="test", flip_averaging=False, watchers=()):
    """Evaluate a run's best weights and write figures and pictures beside them.

    Args:
        run: a `Run`.
        dataset: a `Dataset` of the same classes and image shape.
        split_name: `"train"`, `"validation"` or `"test"`.
        flip_averaging: see `predict`.
        watchers: see `predict`.

    Returns:
        (metrics as a JSON-able dict, the folder they were written to).

    Raises:
        DataError: the data set's classes or image shape are not the run's.
    """
    check_same_kind(run, dataset)
    split = dataset.splits[split_name]
    predictions = predict(run.load_model(), split, flip_averaging, watchers)
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
    matrix = figures.confusion_matrix(predictions.confusion_matrix, dataset.class_names)
    figures.save(matrix, folder / "confusion_matrix.png")
    wrong = mistakes(predictions, dataset.class_names)
    titles = [f"{m.truth}\nsaid {m.said} {m.probability:.0%}" for m in wrong]
    pictures = split.images[[m.index for m in wrong]]
    figures.save(figures.images(pictures, titles, columns=8), folder / "mistakes.png")
    return metrics, folder


def load_data(run, name=None, folder=None):
    """Load the run's own data set with its splits, or another one in the run's image size.

    Raises:
        KmixerError: the data set cannot be loaded, or the run has none and none is named.
    """
    data = run.settings.data
    if name is None and data.name is None:
        raise DataError(
            f"{run.folder}: its weights were imported without a data set; name one that has its"
            f" classes: kmixer evaluate {run.folder} DATASET"
        )
    changes = {"name": name or data.name, "dir": folder or data.dir}
    if name is not None:
        changes |= {"validation_size": None, "train_per_class": None}
    return load_splits(data.changed(**changes))


def check_same_kind(run, dataset):
    """Refuse a data set that the run's model cannot be asked about."""
    if run.class_names != tuple(dataset.class_names):
        raise DataError(
            f"{dataset.name}: {len(dataset.class_names)} classes {list(dataset.class_names)[:3]}…,"
            f" expected the run's {len(run.class_names)} {list(run.class_names)[:3]}…"
        )
    if list(dataset.image_shape) != run.info["input_shape"]:
        raise DataError(
            f"{dataset.name}: images of {dataset.image_shape}, expected {run.info['input_shape']}"
        )
