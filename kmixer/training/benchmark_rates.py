"""Measure rates: images per second of a training or of a stream of batches."""

from collections.abc import Callable, Iterable
from timeit import timeit
from typing import Any

import keras

WARMUP_STEPS = 5
RAND_AUGMENT_MAGNITUDE = 9  # of 30; ours and Keras' own are measured with the same
QUIET: dict[str, Any] = {"verbose": 0, "shuffle": False}


def run_seconds(action: Callable[[], Any]) -> float:
    """Return the seconds of one call, with the garbage collector on, as a training has it."""
    return timeit(action, "import gc; gc.enable()", number=1)


def fit_rate(model: keras.Model, batches: Any, steps: int, batch_size: int) -> float:
    """Return the examples/s of `model.fit` over so many batches, after `WARMUP_STEPS`."""
    model.fit(batches, steps_per_epoch=WARMUP_STEPS, epochs=1, **QUIET)
    seconds = run_seconds(lambda: model.fit(batches, steps_per_epoch=steps, epochs=1, **QUIET))
    return steps * batch_size / seconds


def stream_rate(stream: Iterable[Any], steps: int, batch_size: int) -> float:
    """Return the images/s of so many batches of a stream, after `WARMUP_STEPS`."""
    batches = iter(stream)
    for _ in range(WARMUP_STEPS):
        next(batches)
    return steps * batch_size / run_seconds(lambda: [next(batches) for _ in range(steps)])
