"""Compare a written file's probabilities with those of the Keras model."""

from dataclasses import dataclass

import numpy as np

from ..errors import RunError

TOLERANCE = 1e-5  # of a float file's probabilities
MIN_AGREEMENT = 0.9  # of a quantized file's first classes, where there are no labels


@dataclass(frozen=True)
class Accuracy:
    """Shares of right answers on the test set, 0 to 1.

    Attributes:
        keras: of the Keras model.
        file: of the written file.
    """

    keras: float
    file: float

    @property
    def drop(self) -> float:
        """Points of accuracy that the file has lost."""
        return 100 * (self.keras - self.file)


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


def check(comparison: Comparison, name: str, quantize: str, max_drop: float) -> None:
    """Refuse a file that does not give the model's answers.

    Args:
        comparison: of the file with the Keras model.
        name: of the export, for the error.
        quantize: its quantization.
        max_drop: points of accuracy that a quantized file may lose.

    Raises:
        RunError: it differs by more than rounding, or has lost too much.
    """
    if not np.isfinite(comparison.largest_difference):
        raise RunError(f"{name}: its probabilities are not finite; nothing was kept")
    if quantize == "none":
        _check_float(comparison, name)
    elif comparison.accuracy is None:
        _check_agreement(comparison, name)
    else:
        _check_accuracy(comparison.accuracy, name, max_drop)


def _check_float(comparison: Comparison, name: str) -> None:
    if not (comparison.largest_difference <= TOLERANCE and comparison.agreement == 1.0):
        raise RunError(
            f"{name}: differs from the Keras model on {comparison.images} images: largest"
            f" difference {comparison.largest_difference:.1e} (at most {TOLERANCE:.0e}),"
            f" same first class {comparison.agreement:.2%}; nothing was kept"
        )


def _check_agreement(comparison: Comparison, name: str) -> None:
    if comparison.agreement < MIN_AGREEMENT:
        raise RunError(
            f"{name}: the same first class as Keras for {comparison.agreement:.2%} of"
            f" {comparison.images} images, at least {MIN_AGREEMENT:.0%}; nothing was kept"
        )


def _check_accuracy(accuracy: Accuracy, name: str, max_drop: float) -> None:
    if not accuracy.drop <= max_drop:
        raise RunError(
            f"{name}: {100 * accuracy.keras:.2f} % became {100 * accuracy.file:.2f} %,"
            f" {accuracy.drop:.2f} points lost, at most {max_drop:g} (--max-drop); nothing was kept"
        )
