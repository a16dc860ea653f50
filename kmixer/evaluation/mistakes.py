"""All wrong predictions, by the files' names."""

from collections.abc import Iterator, Sequence
from typing import Any

from ..data import Split
from .predictions import Predictions

MISTAKE_COLUMNS = ("image", "class", "predicted", "probability", "probability_of_class")


def image_name(split: Split, index: int) -> str:
    """Return an image's file, or where there is none its index in the split."""
    return str(index) if split.files is None else str(split.files[index])


def all_mistakes(
    predictions: Predictions, split: Split, class_names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield a row of `MISTAKE_COLUMNS` for each wrong prediction, the worst first."""
    for index in predictions.worst(len(split)):
        label, predicted = predictions.labels[index], predictions.predicted[index]
        probabilities = predictions.probabilities[index]
        values = (
            image_name(split, index), class_names[label], class_names[predicted],
            f"{probabilities[predicted]:.4f}", f"{probabilities[label]:.4f}",
        )  # fmt: skip
        yield dict(zip(MISTAKE_COLUMNS, values, strict=True))
