"""A model's predictions for labeled images, and the metrics of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CALIBRATION_BINS = 15
TOP = 5
MOST_MISTAKES = 40
LEAST = 1e-300  # of a probability, whose logarithm is finite


@dataclass(frozen=True)
class Calibration:
    """What a reliability diagram shows, by bin of the predicted class's probability.

    Attributes:
        images: how many fall into each bin, `(bins,)`.
        confidence: their mean probability, 0..1; 0 where there are none.
        accuracy: the share of them that is right, 0..1; 0 where there are none.
    """

    images: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


@dataclass(frozen=True)
class Predictions:
    """A model's predictions for a split.

    Attributes:
        probabilities: float64 `(n, classes)`.
        labels: int `(n,)`, the true classes.
    """

    probabilities: np.ndarray
    labels: np.ndarray

    def scaled(self, temperature: float) -> Predictions:
        """Return the predictions of the same model with its logits divided by a temperature."""
        from scipy.special import softmax

        logits = np.log(np.maximum(self.probabilities, LEAST)) / temperature
        return Predictions(softmax(logits, axis=1), self.labels)

    @property
    def predicted(self) -> np.ndarray:
        """The most probable classes, int `(n,)`."""
        return self.probabilities.argmax(axis=1)

    @property
    def accuracy(self) -> float:
        """Share of images whose predicted class is right, 0..1."""
        return float((self.predicted == self.labels).mean())

    @property
    def accuracy_interval(self) -> tuple[float, float]:
        """The accuracy's 95 % interval, 0..1 (Wilson's, of images drawn independently)."""
        from scipy.stats import binomtest

        right = int((self.predicted == self.labels).sum())
        interval = binomtest(right, len(self.labels)).proportion_ci(method="wilson")
        return float(interval.low), float(interval.high)

    @property
    def top_5_accuracy(self) -> float | None:
        """Share of images whose class is among its first five, 0..1; None: too few classes."""
        from sklearn.metrics import top_k_accuracy_score

        classes = self.probabilities.shape[1]
        if classes <= TOP:
            return None
        known = range(classes)
        return float(top_k_accuracy_score(self.labels, self.probabilities, k=TOP, labels=known))

    @property
    def balanced_accuracy(self) -> float:
        """Mean over the classes of the share of their images that is right, 0..1."""
        return self._mean_over_classes("recall_score")

    @property
    def macro_f1(self) -> float:
        """Mean of the F1 over the classes, 0..1."""
        return self._mean_over_classes("f1_score")

    def _mean_over_classes(self, name: str) -> float:
        """Return one of scikit-learn's scores, averaged over the classes that have images."""
        from sklearn import metrics

        score, classes = getattr(metrics, name), np.unique(self.labels)
        return float(
            score(self.labels, self.predicted, labels=classes, average="macro", zero_division=0.0)
        )

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats.

        Not scikit-learn's `log_loss`: it counts a true class with less than 2e-16 as 2e-16, so that
        a confident mistake costs at most 36 nats; here it costs what it costs, up to 690.
        """
        return float(-np.log(np.maximum(self.true_probabilities, LEAST)).mean())

    @property
    def confusion_matrix(self) -> np.ndarray:
        """Counts, int `(classes, classes)`: rows are true classes, columns predicted ones."""
        from sklearn.metrics import confusion_matrix

        classes = range(self.probabilities.shape[1])
        return confusion_matrix(self.labels, self.predicted, labels=list(classes))

    @property
    def calibration_error(self) -> float:
        """Expected calibration error over 15 equal bins of confidence (arXiv 1706.04599), 0..1."""
        bins = self.calibration
        gaps = bins.images * np.abs(bins.accuracy - bins.confidence)
        return float(gaps.sum() / bins.images.sum())

    @property
    def calibration(self) -> Calibration:
        """How often images of about one confidence are right."""
        confidence, right = self.probabilities.max(axis=1), self.predicted == self.labels
        bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
        images, *sums = (
            np.bincount(bins, weights, CALIBRATION_BINS) for weights in (None, confidence, right)
        )
        return Calibration(images, *(part / np.maximum(images, 1) for part in sums))

    @property
    def true_probabilities(self) -> np.ndarray:
        """The probability of each image's true class, `(n,)`."""
        return self.probabilities[np.arange(len(self.labels)), self.labels]

    def macro_average(self) -> dict[str, float]:
        """Return precision, recall and F1, means over the classes with images, and the support."""
        keys = ("precision", "recall", "f1")
        means = {key: self._mean_over_classes(f"{key}_score") for key in keys}
        return means | {"support": float(len(self.labels))}

    def per_class(self, class_names: Sequence[str]) -> dict[str, dict[str, float]]:
        """Return precision, recall, F1 and support by class name."""
        from sklearn.metrics import precision_recall_fscore_support

        columns = precision_recall_fscore_support(
            self.labels, self.predicted, labels=range(len(class_names)), zero_division=0.0
        )
        keys = ("precision", "recall", "f1", "support")
        rows = np.stack(columns, axis=1)
        return {
            name: dict(zip(keys, map(float, row), strict=True))
            for name, row in zip(class_names, rows, strict=True)
        }

    def worst(self, count: int) -> np.ndarray:
        """Return the indices of the wrong predictions with the least probable true class."""
        wrong = np.flatnonzero(self.predicted != self.labels)
        return wrong[np.argsort(self.true_probabilities[wrong], kind="stable")][:count]


@dataclass(frozen=True)
class Mistake:
    """A wrong prediction.

    Attributes:
        index: of the image in its split.
        truth: the true class.
        predicted: the predicted class.
        probability: of the predicted class, 0..1.
    """

    index: int
    truth: str
    predicted: str
    probability: float


def worst_mistakes(predictions: Predictions, class_names: Sequence[str]) -> list[Mistake]:
    """Return the `Mistake`s with the least probable true class, at most 40, worst first."""
    return [
        Mistake(
            int(index),
            class_names[predictions.labels[index]],
            class_names[predictions.predicted[index]],
            float(predictions.probabilities[index].max()),
        )
        for index in predictions.worst(MOST_MISTAKES)
    ]
