"""Images → batches: with tf.data under TensorFlow, with NumPy and threads elsewhere.

`plan.py` decides order, augmentation and labels, the same for both. Whole batches are made at once,
uint8 until the model takes over, with no Python code per image.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import keras
import numpy as np

from ..stored_images import Images
from .plan import EvaluationPlan, TrainingPlan, even_batch_size

__all__ = [
    "EvaluationPlan",
    "ImageBatches",
    "TrainingPlan",
    "as_arrays",
    "close",
    "evaluation_batches",
    "even_batch_size",
    "repeated",
    "training_batches",
]


def training_batches(plan: TrainingPlan) -> Any:
    """Build the endless stream of training batches.

    Order and augmentation are pure functions of (seed, epoch, position). The images of an epoch
    that do not fill a last batch are left out; which ones they are differs between epochs.

    Returns:
        What `model.fit` takes: (images, labels), or ((indices, draws), labels) where the images are
        `resident`. Images uint8 `(batch, height, width, channels)`, labels float32
        `(batch, classes)`, indices int32 `(batch,)`, draws float32 `(batch, augment.draws)`.
    """
    return _engine().training_batches(plan)


def evaluation_batches(plan: EvaluationPlan) -> Any:
    """Build one pass over a split, in its own order, not augmented; it can be repeated."""
    return _engine().evaluation_batches(plan)


class ImageBatches(keras.utils.PyDataset):
    """Images alone, batch after batch, for `model.predict`; stored ones are read as they come.

    Args:
        images: uint8 `(n, height, width, channels)`.
        batch_size: images per batch.
        mirrored: whether each image's left and right are exchanged.
    """

    def __init__(self, images: Images, batch_size: int, mirrored: bool = False) -> None:
        super().__init__()
        self._images, self._size, self._step = images, batch_size, -1 if mirrored else 1

    def __len__(self) -> int:
        return math.ceil(len(self._images) / self._size)

    def __getitem__(self, index: int) -> tuple[np.ndarray]:
        batch = self._images[index * self._size : (index + 1) * self._size]
        return (batch[:, :, :: self._step],)


def repeated(batch: Any) -> Any:
    """Return a stream that repeats one batch, a nested tuple of arrays, for ever."""
    return _engine().repeated(batch)


def as_arrays(stream: Iterable[Any], steps: int | None) -> list[Any]:
    """Return the first `steps` batches, or all for None, as nested tuples of NumPy arrays."""
    batches = itertools.islice(iter(stream), steps)
    return [keras.tree.map_structure(np.asarray, batch) for batch in batches]


def close(stream: Any) -> None:
    """Stop the threads that make a stream's batches ahead; `fit` never reads it to its end."""
    if hasattr(stream, "close"):  # tf.data stops by itself
        stream.close()


def _engine() -> ModuleType:
    if keras.backend.backend() == "tensorflow":
        from . import tf_data

        return tf_data
    from . import threads

    return threads
