"""A trained model → how well it does, and where it errs."""

import json
from dataclasses import dataclass

import numpy as np

from . import figures
from .data import load_splits
from .errors import DataError
from .files import atomic
from .runs.inference import probabilities

CALIBRATION_BINS = 15
MOST_MISTAKES = 40


@dataclass(frozen=True)
class Predictions:
    """What a model says of a split.

    Attributes:
        probabilities: float64 `(n, classes)`.
        labels: int `(n,)`, the truth.
    """

    probabilities: np.ndarray
    labels: np.ndarray

    @property
    def predicted(self):
        """The class of the largest probability, int `(n,)`."""
        return self.probabilities.argmax(axis=1)

    @property
    def accuracy(self):
        """Share of images whose class is right."""
        return float((self.predicted == self.labels).mean())

    @property
    def loss(self):
        """Mean cross-entropy in nats."""
        right = self.probabilities[np.arange(len(self.labels)), self.labels]
        return float(-np.log(np.maximum(right, 1e-300)).mean())

    @property
    def confusion_matrix(self):
        """Counts, int `(classes, classes)`: rows are the truth, columns the prediction."""
        from sklearn.metrics import confusion_matrix

        classes = range(self.probabilities.shape[1])
        return confusion_matrix(self.labels, self.predicted, labels=list(classes))

    @property
    def calibration_error(self):
        """Expected calibration error over 15 equal bins of confidence (arXiv 1706.04599)."""
        confidence, right = self.probabilities.max(axis=1), self.predicted == self.labels
        bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
        gaps = (np.bincount(bins, right - confidence, CALIBRATION_BINS)) / len(right)
        return float(np.abs(gaps).sum())

    def per_class(self, class_names):
        """Return precision, recall, F1 and support by class name."""
        from sklearn.metrics import precision_recall_fscore_support

        columns = precision_recall_fscore_support(
            self.labels, self.predicted, labels=range(len(class_names)), zero_division=0.0
        )
        names = ("precision", "recall", "f1", "support")
        rows = np.stack(columns, axis=1)
        return {
            label: dict(zip(names, map(float, row), strict=True))
            for label, row in zip(class_names, rows, strict=True)
        }

    def worst(self, count):
        """Return the indices of the wrong predictions that gave the truth least probability."""
        right = self.probabilities[np.arange(len(self.labels)), self.labels]
        wrong = np.flatnonzero(self.predicted != self.labels)
        return wrong[np.argsort(right[wrong], kind="stable")][:count]


@dataclass(frozen=True)
class Mistake:
    """A wrong prediction.

    Attributes:
        index: of the image in its split.
        truth: its class.
        said: the predicted class.
        probability: that the prediction was given, 0..1.
    """

    index: int
    truth: str
    said: str
    probability: float


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
    said = probabilities(model, split.images, watchers)
    if flip_averaging:
        said = (said + probabilities(model, split.images[:, :, ::-1], watchers)) / 2
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


def mistakes(predictions, class_names):
    """Return the `Mistake`s that gave the truth least probability, worst first."""
    return [
        Mistake(
            int(index),
            class_names[predictions.labels[index]],
            class_names[predictions.predicted[index]],
            float(predictions.probabilities[index].max()),
        )
        for index in predictions.worst(MOST_MISTAKES)
    ]


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
    return load_splits(data.model_copy(update=changes))


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
