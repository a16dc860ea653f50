"""Batches by NumPy in a few threads, for the backends that need no TensorFlow."""

import itertools
import math
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

WORKERS = max(2, (os.cpu_count() or 2) - 1)
AHEAD = 4 * WORKERS  # batches made before they are asked for
NAME = "kmixer-batches"


def training_batches(plan):
    """Return the endless generator of a `TrainingPlan`; batches come in the plan's order."""
    images, labels = plan.split.images, plan.split.labels

    def make(order, uniforms):
        return plan.own(plan.batch(order, uniforms, images, labels, _take))

    epochs = map(plan.epoch, itertools.count(plan.first_epoch))
    steps = (step for epoch in epochs for step in zip(*epoch, strict=True))
    return _ahead(make, itertools.islice(steps, plan.first_step, None))


def _take(array, indices):
    return np.take(array, indices, axis=0)


def _ahead(make, steps):
    with ThreadPoolExecutor(WORKERS, NAME) as pool:
        waiting = deque(pool.submit(make, *step) for step in itertools.islice(steps, AHEAD))
        while waiting:
            batch = waiting.popleft().result()
            waiting.extend(pool.submit(make, *step) for step in itertools.islice(steps, 1))
            yield batch


def evaluation_batches(plan):
    """Return the `keras.utils.PyDataset` of an `EvaluationPlan`."""
    return _Slices(plan)


class _Slices(keras.utils.PyDataset):
    def __init__(self, plan):
        super().__init__()
        self._arrays, self._size, self._count = plan.arrays(), plan.batch_size, plan.count
        self._own = plan.own

    def __len__(self):
        return math.ceil(self._count / self._size)

    def __getitem__(self, index):
        here = slice(index * self._size, (index + 1) * self._size)
        return self._own(keras.tree.map_structure(lambda array: array[here], self._arrays))


def repeated(batch):
    """Return one batch again and again."""
    return (batch for _ in itertools.count())
