"""Compare a written file's probabilities with those of the Keras model."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import RunError
from ..files.text import percent

TOLERANCE = 1e-5  # of a float file's probabilities
CONFIDENCE = 0.95  # of the interval of the points that a quantized file has lost
MIN_AGREEMENT = 0.9  # of a quantized file's first classes, where there are no labels


@dataclass(frozen=True, eq=False)
class Accuracy:
    """Which images of the test set both get right.

    Attributes:
        keras_right: of the Keras model, bool `(n,)`.
        file_right: of the written file, bool `(n,)`.
    """

    keras_right: np.ndarray
    file_right: np.ndarray

    @property
    def keras(self) -> float:
        """Share of right answers of the Keras model, 0 to 1."""
        return float(self.keras_right.mean())

    @property
    def file(self) -> float:
        """Share of right answers of the written file, 0 to 1."""
        return float(self.file_right.mean())

    @property
    def drop(self) -> float:
        """Points of accuracy that the file has lost."""
        return 100 * (self.keras - self.file)

    @cached_property
    def interval(self) -> tuple[float, float]:
        """Points that it may have lost, lowest and highest, by the images judged differently.

        Only they can tell: the exact interval of the share of them that the file gets wrong is
        McNemar's test turned round. Of a few images, one more or less says next to nothing.
        """
        from scipy.stats import binomtest

        lost = int((self.keras_right & ~self.file_right).sum())
        changed = int((self.keras_right != self.file_right).sum())
        if not changed:
            return 0.0, 0.0
        share = binomtest(lost, changed).proportion_ci(CONFIDENCE)
        points = 100 * changed / len(self.keras_right)
        return (2 * share.low - 1) * points, (2 * share.high - 1) * points


@dataclass(frozen=True)
class Comparison:
    """How far a file's probabilities are from the Keras model's.

    Attributes:
        images: the number of images.
        largest_difference: of any probability.
        agreement: the share of images whose first class is the same.
        accuracy: of both on the test set, or None without labels.
    """

    images: int
    largest_difference: float
    agreement: float
    accuracy: Accuracy | None = None


def compare(
    expected: np.ndarray, received: np.ndarray, accuracy: Accuracy | None = None
) -> Comparison:
    """Compare the Keras model's probabilities `(n, classes)` with a file's."""
    return Comparison(
        len(received),
        float(np.abs(received - expected).max()),
        float((received.argmax(axis=1) == expected.argmax(axis=1)).mean()),
        accuracy,
    )


def check(comparison: Comparison, name: str, quantize: str, max_drop: float) -> str | None:
    """Refuse a file that does not give the model's answers.

    Args:
        comparison: of the file with the Keras model.
        name: of the export, for the error.
        quantize: its quantization.
        max_drop: points of accuracy that a quantized file may lose.

    Returns:
        What people should know about a file that is kept; None: nothing.

    Raises:
        RunError: it differs by more than rounding, or has lost too much.
    """
    if not np.isfinite(comparison.largest_difference):
        raise RunError(f"{name}: its probabilities are not finite; nothing was kept")
    if quantize != "none" and comparison.accuracy is not None:
        return _check_accuracy(comparison.accuracy, name, max_drop)
    if problem := find_problem(comparison, quantize):
        raise RunError(f"{name}: {problem}; nothing was kept")
    return None


def find_problem(comparison: Comparison, quantize: str) -> str | None:
    """Return how a file's answers differ from the model's by more than they may; None: they do not.

    A float file may differ by rounding; of a quantized one the first classes have to be the same.

    Args:
        comparison: of the file with the Keras model.
        quantize: its quantization.
    """
    largest, agreement = comparison.largest_difference, comparison.agreement
    if quantize == "none":
        if largest <= TOLERANCE and agreement == 1.0:
            return None
        return (
            f"differs from the Keras model on {comparison.images} images: largest difference"
            f" {largest:.1e} (at most {TOLERANCE:.0e}), same first class {percent(agreement)}"
        )
    if agreement >= MIN_AGREEMENT:
        return None
    return (
        f"the same first class as Keras for {percent(agreement)} of {comparison.images} images, at"
        f" least {percent(MIN_AGREEMENT, 0)}"
    )


def _check_accuracy(accuracy: Accuracy, name: str, max_drop: float) -> str | None:
    """Refuse a drop that the images prove; return a note on one that they cannot."""
    if accuracy.drop <= max_drop:
        return None
    lowest, highest = accuracy.interval
    loss = (
        f"{name}: {100 * accuracy.keras:.2f} % became {100 * accuracy.file:.2f} %,"
        f" {accuracy.drop:.2f} points lost (from {lowest:.2f} to {highest:.2f} with"
        f" {percent(CONFIDENCE, 0)} confidence), at most {max_drop:g} (--max-drop)"
    )
    if lowest <= 0:
        return f"{loss}; kept, since {len(accuracy.keras_right):,} images cannot tell"
    raise RunError(f"{loss}; nothing was kept")
