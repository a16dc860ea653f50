"""What is in which batch: the half of the pipeline that no library has a say in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ...augment import AugmentationPipeline, ImageAugmentation
from .. import Split
from ..order import epoch_plan

EVALUATION_BATCH = 1024


def _whole(batch):
    return batch


@dataclass(frozen=True)
class TrainingPlan:
    """All that decides the training batches.

    Attributes:
        split: the training `Split`.
        classes: number of classes.
        batch_size: images per batch.
        seed: the run's seed.
        steps: batches per epoch.
        augment: an `ImageAugmentation`; by default one that does nothing.
        resident: the images lie in the accelerator's memory: batches carry their indices and the
            draws of the augmentation instead of pixels.
        label_smoothing: share of the label spread over all classes.
        first_epoch: to begin with, counted from 0.
        first_step: of that epoch, counted from 0.
        own: (batch) → the rows of it that this process computes.

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
    first_epoch: int = 0
    first_step: int = 0
    own: Callable = _whole

    def __post_init__(self):
        used = self.steps * self.batch_size
        if not 0 < used <= len(self.split):  # an epoch of no batches would never end
            raise ValueError(f"received {used} images an epoch, expected 1 to {len(self.split)}")

    def epoch(self, epoch):
        """Return an epoch's image indices, int32 `(steps, batch)`, and `(steps, batch, draws)`."""
        draws = self.augment.draws
        order, uniforms = epoch_plan(self.seed, int(epoch), len(self.split), draws)
        used = self.steps * self.batch_size
        return (
            order[:used].reshape(self.steps, self.batch_size),
            uniforms[:used].reshape(self.steps, self.batch_size, draws),
        )

    def batch(self, order, uniforms, images, labels, take):
        """Make the batch of the images at `order`.

        Args:
            order: int32 `(batch,)`.
            uniforms: float32 `(batch, draws)`.
            images: the split's, as the library at work holds them.
            labels: likewise.
            take: (array, indices) → the rows at those indices, in the library at work.
        """
        y = take(self._label_rows(), take(labels, order))
        y = self.augment.mix_labels(y, uniforms, images.shape[1:3])
        if self.resident:
            return (order, uniforms), y
        return self.augment.transform(take(images, order), uniforms), y

    def _label_rows(self):
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
        draws: width of the draws that the model then expects (unused when it does not train).
        devices: that share each batch evenly; up to `devices` - 1 images are left out for that.
        own: (batch) → the rows of it that this process computes.
    """

    split: Split
    classes: int
    resident_from: int | None = None
    draws: int = 0
    devices: int = 1
    own: Callable = _whole

    @property
    def count(self):
        """Images that are used."""
        return len(self.split) // self.devices * self.devices

    @property
    def batch_size(self):
        """Images per batch."""
        most = max(EVALUATION_BATCH // self.devices, 1)
        return self.devices * even_batch_size(self.count // self.devices, most)

    def arrays(self):
        """Return (inputs, labels) of the whole split, in the nesting of a batch."""
        count = self.count
        labels = np.eye(self.classes, dtype=np.float32)[self.split.labels[:count]]
        if self.resident_from is None:
            return self.split.images[:count], labels
        indices = np.arange(self.resident_from, self.resident_from + count, dtype=np.int32)
        return (indices, np.zeros((count, self.draws), np.float32)), labels


def even_batch_size(count, most=EVALUATION_BATCH):
    """Return the largest batch size up to `most` that leaves no small last batch, if there is one.

    A last batch of another size would make XLA compile the model a second time.
    """
    divisors = [size for size in range(1, min(count, most) + 1) if count % size == 0]
    return divisors[-1] if divisors and divisors[-1] >= min(count, most) // 8 else min(count, most)
