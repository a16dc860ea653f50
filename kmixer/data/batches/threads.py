"""Make batches with NumPy in a few threads, for the backends that need no TensorFlow."""

import itertools
import math
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np

from ..stored_images import Images, StoredImages
from .plan import EvaluationPlan, TrainingPlan

WORKERS = max(2, (os.cpu_count() or 2) - 1)
AHEAD = 4 * WORKERS  # batches made before they are asked for
NAME = "kmixer-batches"


def training_batches(plan: TrainingPlan) -> Iterator[Any]:
    """Return the endless generator of a `TrainingPlan`; batches come in the plan's order."""
    images, labels = plan.split.images, plan.split.labels

    def make(order: np.ndarray, uniforms: np.ndarray) -> Any:
        return plan.local_rows(plan.batch(order, uniforms, images, labels, _take))

    epochs = map(plan.epoch, itertools.count(plan.first_epoch))
    steps = (step for epoch in epochs for step in zip(*epoch, strict=True))
    return _made_ahead(make, itertools.islice(steps, plan.first_step, None))


def _take(array: Images, indices: np.ndarray) -> np.ndarray:
    if isinstance(array, StoredImages):
        return array[indices]
    return np.take(array, indices, axis=0)


def _made_ahead(make: Callable[..., Any], steps: Iterator[tuple[Any, ...]]) -> Iterator[Any]:
    """Yield make(*step) for each step, in order; threads work on the next `AHEAD` ones."""
    with ThreadPoolExecutor(WORKERS, NAME) as pool:
        waiting = deque(pool.submit(make, *step) for step in itertools.islice(steps, AHEAD))
        while waiting:
            batch = waiting.popleft().result()
            waiting.extend(pool.submit(make, *step) for step in itertools.islice(steps, 1))
            yield batch


def evaluation_batches(plan: EvaluationPlan) -> keras.utils.PyDataset:
    """Return the batches of an `EvaluationPlan`."""
    return _Slices(plan)


class _Slices(keras.utils.PyDataset):
    """Consecutive slices of a plan's arrays."""

    def __init__(self, plan: EvaluationPlan) -> None:
        super().__init__()
        self._arrays, self._size, self._count = plan.arrays(), plan.batch_size, plan.count
        self._local_rows = plan.local_rows

    def __len__(self) -> int:
        return math.ceil(self._count / self._size)

    def __getitem__(self, index: int) -> Any:
        rows = slice(index * self._size, (index + 1) * self._size)
        batch = keras.tree.map_structure(lambda array: array[rows], self._arrays)
        return self._local_rows(batch)


def repeated(batch: Any) -> Iterator[Any]:
    """Return a stream that repeats one batch for ever: a generator, as Keras wants it."""
    while True:
        yield batch
