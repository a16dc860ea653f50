"""Decide what each batch holds, independently of the library that makes the batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ...augment import AugmentationPipeline, ImageAugmentation
from ...augment.base import namespace
from ..dataset import Split
from ..order import epoch_plan
from ..stored_images import take

EVALUATION_BATCH = 1024


def _all_rows(batch: Any) -> Any:
    return batch


@dataclass(frozen=True)
class TrainingPlan:
    """Everything that decides the training batches.

    Attributes:
        split: the training `Split`.
        classes: number of classes.
        batch_size: images per batch.
        seed: the run's seed.
        steps: batches per epoch.
        augment: an `ImageAugmentation`; by default one that does nothing.
        resident: whether the images lie in the accelerator's memory: then batches carry their
            indices and the random numbers of the augmentation instead of pixels.
        label_smoothing: share of the label that is spread over all classes.
        class_weights: what an image of each class counts in the loss, float32 `(classes,)`; None:
            all the same, and batches carry no weights.
        first_epoch: epoch to begin with, counted from 0.
        first_step: step of that epoch to begin with, counted from 0.
        local_rows: (batch) → the rows of it that this process computes.

    Raises:
        ValueError: an epoch is empty, or has more images than there are.
    """

    split: Split
    classes: int
    batch_size: int
    seed: int
    steps: int
    augment: ImageAugmentation = field(default_factory=partial(AugmentationPipeline, []))
    resident: bool = False
    label_smoothing: float = 0.0
    class_weights: np.ndarray | None = None
    first_epoch: int = 0
    first_step: int = 0
    local_rows: Callable[[Any], Any] = _all_rows

    def __post_init__(self) -> None:
        used = self.steps * self.batch_size
        if not 0 < used <= len(self.split):  # an epoch of no batches would never end
            raise ValueError(f"received {used} images an epoch, expected 1 to {len(self.split)}")

    def epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return an epoch's image indices, int32 `(steps, batch)`, and `(steps, batch, draws)`."""
        draws = self.augment.draws
        order, uniforms = epoch_plan(self.seed, int(epoch), len(self.split), draws)
        used = self.steps * self.batch_size
        return (
            order[:used].reshape(self.steps, self.batch_size),
            uniforms[:used].reshape(self.steps, self.batch_size, draws),
        )

    def batch(
        self,
        order: Any,
        uniforms: Any,
        images: Any,
        labels: Any,
        take: Callable[[Any, Any], Any],
    ) -> tuple[Any, ...]:
        """Make the batch of the images at `order`: inputs, labels, and weights if there are any.

        Args:
            order: int32 `(batch,)`, indices of images.
            uniforms: float32 `(batch, draws)`, the random numbers of their augmentation.
            images: the split's, as an array of the library that makes the batches.
            labels: the split's, likewise.
            take: (array, indices) → the rows at those indices, in that library.
        """
        y = take(self._label_rows(), take(labels, order))
        y = self.augment.mix_labels(y, uniforms, images.shape[1:3])
        weights = () if self.class_weights is None else (self._weights(y),)
        if self.resident:
            return (order, uniforms), y, *weights
        return self.augment.transform(take(images, order), uniforms), y, *weights

    def _weights(self, y: Any) -> Any:
        """Return what each image counts in the loss; a mixed one what its parts count."""
        xp = namespace(y)
        return xp.sum(y * self.class_weights, axis=1)

    def _label_rows(self) -> np.ndarray:
        """Return the label of each class, float32 `(classes, classes)`."""
        smoothing = self.label_smoothing
        rows = np.eye(self.classes) * (1.0 - smoothing) + smoothing / self.classes
        return rows.astype(np.float32)


@dataclass(frozen=True)
class EvaluationPlan:
    """One pass over a split in its own order.

    Attributes:
        split: the `Split`.
        classes: number of classes.
        resident_from: index of the split's first image among the resident ones, or None where
            batches carry pixels.
        draws: number of random numbers per image that the model expects; they are zeros, since
            nothing is augmented.
        devices: how many share each batch evenly; up to `devices` - 1 images are left out for that.
        local_rows: (batch) → the rows of it that this process computes.
    """

    split: Split
    classes: int
    resident_from: int | None = None
    draws: int = 0
    devices: int = 1
    local_rows: Callable[[Any], Any] = _all_rows

    @property
    def count(self) -> int:
        """Images that are used."""
        return len(self.split) // self.devices * self.devices

    @property
    def batch_size(self) -> int:
        """Images per batch."""
        largest = max(EVALUATION_BATCH // self.devices, 1)
        return self.devices * even_batch_size(self.count // self.devices, largest)

    def arrays(self) -> tuple[Any, np.ndarray]:
        """Return (inputs, labels) of the whole split, nested like a batch."""
        count = self.count
        labels = np.eye(self.classes, dtype=np.float32)[self.split.labels[:count]]
        if self.resident_from is None:
            return take(self.split.images, slice(count)), labels
        indices = np.arange(self.resident_from, self.resident_from + count, dtype=np.int32)
        return (indices, np.zeros((count, self.draws), np.float32)), labels


def even_batch_size(count: int, largest: int = EVALUATION_BATCH) -> int:
    """Return the largest batch size up to `largest` that divides `count`, if one is large enough.

    A smaller last batch would make XLA compile the model a second time. Where all divisors are
    small, `largest` is returned.
    """
    limit = min(count, largest)
    divisors = [size for size in range(1, limit + 1) if count % size == 0]
    return divisors[-1] if divisors and divisors[-1] >= limit // 8 else limit
