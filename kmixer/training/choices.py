"""Choose what settings leave open by how many images there are, and say why.

The numbers are those of docs/adr/0021; `resolve` fills in what depends on the machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..models.patches import Patches
from .best_epoch import choose_best_epoch

if TYPE_CHECKING:
    from ..config import Settings
    from ..data import Dataset

LARGEST_BATCH, SMALLEST_BATCH = 256, 8
STEPS_AT_LEAST = 8  # in an epoch, so that a small set is not trained in two or three steps
FEWEST_EPOCHS, MOST_EPOCHS = 10, 200
LOPSIDED = 3  # times as many images in the largest class as in the smallest


@dataclass(frozen=True)
class Choice:
    """A value for a setting that was left open, or that does not fit.

    Attributes:
        section: of the settings.
        key: of the setting in it.
        value: what was chosen.
        reason: why; None where it is what a large set gets, which is not said.
    """

    section: str
    key: str
    value: Any
    reason: str | None

    def __str__(self) -> str:
        return f"{self.section}.{self.key} {self.value}: {self.reason}"


def choose_open(settings: Settings, dataset: Dataset) -> tuple[Settings, list[str]]:
    """Fill in the settings that are open, and shrink a batch that does not fit.

    Args:
        settings: `Settings`.
        dataset: their `Dataset`, with a validation split.

    Returns:
        (the settings, a line for each choice: the setting, its value, the reason).
    """
    lines = []
    for choose in (_choose_epochs, _choose_batch_size, _choose_class_weights, _choose_best_epoch):
        if choice := choose(settings, dataset):
            settings = settings.changed(**{choice.section: {choice.key: choice.value}})
            lines += [str(choice)] if choice.reason else []
    return settings, lines


def _choose_epochs(settings: Settings, dataset: Dataset) -> Choice | None:
    if settings.training.epochs is not None:
        return None
    images, has_start = len(dataset.train), bool(settings.finetune)
    reason = f"{images:,} training images, from {'a start' if has_start else 'scratch'}"
    return Choice("training", "epochs", _epochs(images, has_start), reason)


def _choose_batch_size(settings: Settings, dataset: Dataset) -> Choice | None:
    images, received = len(dataset.train), settings.data.batch_size
    size = fitting_batch_size(settings, images)
    if size == received:
        return None
    if isinstance(received, int):
        reason: str | None = f"received {received}, there are {images:,} images"
    else:
        steps = images // size
        reason = None if size == LARGEST_BATCH else f"steps in an epoch: {steps:,}"
    return Choice("data", "batch_size", size, reason)


def _choose_class_weights(settings: Settings, dataset: Dataset) -> Choice | None:
    if settings.training.class_weights is not None:
        return None
    counts = np.bincount(dataset.train.labels, minlength=len(dataset.class_names))
    fewest, most = int(counts.min()), int(counts.max())
    value = "balanced" if most >= LOPSIDED * max(fewest, 1) else "none"
    span = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
    return Choice("training", "class_weights", value, f"{span} images a class")


def _choose_best_epoch(settings: Settings, dataset: Dataset) -> Choice | None:
    if settings.training.best_epoch is not None:
        return None
    value, reason = choose_best_epoch(settings, len(dataset.splits["validation"]))
    usual = value == "val_accuracy"
    return Choice("training", "best_epoch", value, None if usual else reason)


def patches_line(settings: Settings, dataset: Dataset) -> str:
    """Return the line on patches that were chosen by the images' size.

    Args:
        settings: resolved `Settings`, of a model that cuts images into patches.
        dataset: their `Dataset`.
    """
    height, width, _ = dataset.image_shape
    if side := settings.data.crop_size or settings.data.resize_size:
        height = width = side
    model: Any = settings.model
    size, stride = model.patch_size, getattr(model, "patch_stride", None)
    rows, columns = Patches(size, stride or size).grid(height, width)
    overlap = f", {stride} apart" if stride and stride != size else ""
    return (
        f"model.patch_size {size}: {height}×{width} pixels make {rows}×{columns} patches{overlap}"
    )


def _epochs(images: int, has_start: bool) -> int:
    """Return the fewer epochs, the more images: for 300, 1,000 and 30,000 from scratch 150, 82, 15.

    From a start it is 60, 42, 15.
    """
    at_300, power = (60, -0.3) if has_start else (150, -0.5)
    epochs = at_300 * (max(images, 1) / 300) ** power
    return int(np.clip(round(epochs), FEWEST_EPOCHS, MOST_EPOCHS))


def fitting_batch_size(settings: Settings, images: int) -> int:
    """Return the batch size of the settings, or what fits if it is open or too large.

    An open one is at most 256, and such that an epoch leaves out as few images as can be.

    Args:
        settings: `Settings`.
        images: in the training split.
    """
    most = max(images // settings.training.steps_per_execution, 1)
    received = settings.data.batch_size  # "auto" is open, too: who trains has measured before
    if isinstance(received, int) and received <= most:
        return received
    size = min(max(images // STEPS_AT_LEAST, SMALLEST_BATCH), LARGEST_BATCH, most)
    return size if size == LARGEST_BATCH else most // (most // size)


def class_weights(dataset: Dataset) -> np.ndarray:
    """Return a weight for each class, float32 `(classes,)`, with which all count the same.

    An image of class c weighs images / (classes · images of c), so that the mean weight is 1; a
    class without images weighs nothing.
    """
    counts = np.bincount(dataset.train.labels, minlength=len(dataset.class_names))
    present = counts > 0
    weights = len(dataset.train) / (present.sum() * np.maximum(counts, 1))
    return np.where(present, weights, 0).astype(np.float32)
