"""A model's predictions on labelled images, and what can be said of them."""

from dataclasses import dataclass

import numpy as np

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
