"""What a model answers: the classes that an image may be, or that it knows none of them.

Read from probabilities alone, so that runs, exports and pages answer alike; imports no Keras. How
the thresholds are chosen: `kmixer/evaluation/answers.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
MOST_NAMES = 4  # of a set, in words
UNKNOWN = "I do not know this"
SMALLEST = 1e-12  # probability that is told from 0 in float32
SMALLEST_OF_8_BITS = 1 / 512  # half a step of 1/256


class MeasuredAnswers(BaseModel):
    """How the answers did on images that they were not chosen by.

    Attributes:
        images: their number.
        coverage: the share whose class is in its set.
        class_coverage: the same of each class; None: it has no image.
        mean_size: classes in a set, on average.
        refused: the share that the model does not know.
    """

    images: int
    coverage: Share
    class_coverage: list[Share | None]
    mean_size: FiniteFloat
    refused: Share


class Answers(BaseModel):
    """The thresholds of a model's answers, chosen on its validation images.

    Attributes:
        coverage: the share of images whose class is to be in its set.
        per_class: whether that holds for the images of each class, or for all together.
        least: of each class, the least probability with which it belongs to a set.
        refusals: the share of images of its classes that may be refused.
        least_spread: the `spread` below which an image is unknown.
        smallest: probabilities below are 0 to the model's number format.
        measured: how they did on the test images; None: those were not read.
    """

    model_config = ConfigDict(frozen=True)

    coverage: Share
    per_class: bool
    least: list[Share]
    refusals: Share
    least_spread: FiniteFloat
    smallest: Share = SMALLEST
    measured: MeasuredAnswers | None = None

    def sets(self, probabilities: np.ndarray) -> np.ndarray:
        """Return which classes are in each image's set; the most probable one always is.

        Args:
            probabilities: `(n, classes)`.

        Returns:
            bool `(n, classes)`.
        """
        inside = probabilities >= np.array(self.least)
        inside[np.arange(len(inside)), probabilities.argmax(axis=1)] = True
        return inside

    def knows(self, probabilities: np.ndarray) -> np.ndarray:
        """Return which images are like those that the model was trained on, bool `(n,)`."""
        return spread(probabilities, self.smallest) >= self.least_spread

    def of(self, probabilities: np.ndarray, class_names: Sequence[str]) -> dict[str, Any]:
        """Return one image's answer, as commands and servers give it in JSON.

        Args:
            probabilities: `(classes,)`.
            class_names: in their order.

        Returns:
            `set`, names of classes, the most probable first; `known`; `coverage`; and `says`, the
            answer in words, such as `Coat or Shirt`.
        """
        order = np.argsort(-probabilities, kind="stable")
        inside = self.sets(probabilities[None])[0]
        names = [class_names[index] for index in order if inside[index]]
        known = bool(self.knows(probabilities[None])[0])
        return {
            "set": names,
            "known": known,
            "coverage": self.coverage,
            "says": in_words(names) if known else UNKNOWN,
        }


def spread(probabilities: np.ndarray, smallest: float = SMALLEST) -> np.ndarray:
    """Return the standard deviation of each image's logits, `(n,)`.

    It is high where one class stands out from the others. A logit is the logarithm of the
    probability and a constant, which a deviation does not see.

    Args:
        probabilities: `(n, classes)`.
        smallest: lower probabilities count as this one.
    """
    return np.log(np.maximum(probabilities, smallest)).std(axis=1)


def in_words(names: Sequence[str]) -> str:
    """Return a set of classes in words.

    Example:
        >>> in_words(["Coat", "Shirt", "Pullover"])
        'Coat, Shirt or Pullover'
    """
    if len(names) > MOST_NAMES:
        return f"one of {len(names)}: {', '.join(names[: MOST_NAMES - 1])}, …"
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
