"""Whether a written file gives the answers that the Keras model gives."""

from dataclasses import dataclass

import numpy as np

from ..errors import RunError

TOLERANCE = 1e-5  # of a float file's probabilities
AGREEMENT = 0.9  # of a quantised file's first classes, where no labels tell its accuracy


@dataclass(frozen=True)
class Verdict:
    """The comparison of two sets of probabilities.

    Attributes:
        images: how many.
        largest_difference: of any probability.
        agreement: share of the images whose first class is the same.
        accuracy: (Keras', the file's) shares of right answers on the test set, or None.
    """

    images: int
    largest_difference: float
    agreement: float
    accuracy: tuple[float, float] | None = None

    @property
    def drop(self):
        """Points of accuracy lost."""
        return 100 * (self.accuracy[0] - self.accuracy[1])


def compare(expected, said, accuracy=None):
    """Return the `Verdict` on probabilities `(n, classes)` against those expected."""
    return Verdict(
        len(said),
        float(np.abs(said - expected).max()),
        float((said.argmax(axis=1) == expected.argmax(axis=1)).mean()),
        accuracy,
    )


def check(verdict, name, quantize, max_drop):
    """Refuse a file that does not give the model's answers.

    Args:
        verdict: a `Verdict`.
        name: of the export, for the error.
        quantize: its quantisation.
        max_drop: points of accuracy that a quantised file may lose.

    Raises:
        RunError: it differs by more than rounding, or has lost too much.
    """
    if not np.isfinite(verdict.largest_difference):
        raise RunError(f"{name}: gives answers that are no numbers; nothing was kept")
    if quantize == "none":
        if not (verdict.largest_difference <= TOLERANCE and verdict.agreement == 1.0):
            raise RunError(
                f"{name}: differs from the Keras model on {verdict.images} images: largest"
                f" difference {verdict.largest_difference:.1e} (at most {TOLERANCE:.0e}),"
                f" same first class {verdict.agreement:.2%}; nothing was kept"
            )
    elif not verdict.accuracy:
        if verdict.agreement < AGREEMENT:
            raise RunError(
                f"{name}: the same first class as Keras for {verdict.agreement:.2%} of"
                f" {verdict.images} images, at least {AGREEMENT:.0%}; nothing was kept"
            )
    elif not verdict.drop <= max_drop:
        before, after = (f"{100 * share:.2f}" for share in verdict.accuracy)
        raise RunError(
            f"{name}: {before} % became {after} %, {verdict.drop:.2f} points lost, at most"
            f" {max_drop:g} (--max-drop); nothing was kept"
        )
