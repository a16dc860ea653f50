"""`data.batch_size: auto`: how many images a step trains fastest on this machine, measured."""

from __future__ import annotations

import gc
from itertools import pairwise
from typing import TYPE_CHECKING

from ..data.memory import memory_limit
from ..errors import SettingsError, is_out_of_memory
from ..runs.provenance import peak_memory
from .choices import STEPS_AT_LEAST
from .measured_rates import Rates, measurement_key, remember, stored_rates
from .resolve import resolve
from .timed_steps import TimedSteps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..config import Settings
    from ..data import Dataset

SIZES = tuple(2**power for power in range(4, 12))  # 16 to 2,048
GAIN = 1.05  # that twice as many images a step must bring: with fewer a net learns more an epoch
MEMORY_SHARE = 0.8  # of what there is, that the next size may be expected to take
ASKED = "batch_size"  # the key of the measurement's memory


def choose_batch_size(settings: Settings, dataset: Dataset) -> tuple[Settings, list[str]]:
    """Fill in `data.batch_size: auto`: the smallest whose double brings less than 5 % more.

    Every power of two from 16 on is measured, until one gains too little, memory would not do, or
    an epoch would have fewer than eight steps. The learning rate stays as it is.

    Args:
        settings: `Settings`, whose other open values may be open still.
        dataset: their `Dataset`, with a validation split.

    Returns:
        (the settings, a line on what was chosen and why; no line where nothing was to be measured).

    Raises:
        SettingsError: the training is distributed.
    """
    if settings.data.batch_size != "auto":
        return settings, []
    if settings.training.distribute != "none":
        raise SettingsError(
            "data.batch_size: received auto, expected a number with training.distribute"
        )
    usual = resolve(settings.changed(data={"batch_size": None}), dataset)
    if usual.training.precision == "auto":
        usual = usual.changed(training={"precision": "float32"})
    rates, origin = _known_rates(usual, dataset)
    size = _smallest_fast(rates)
    told = ", ".join(f"{number} {rate:,.0f}" for number, rate in rates.items())
    line = f"data.batch_size {size}: {told} examples/s, {origin}; the learning rate stays"
    return settings.changed(data={"batch_size": size}), [line]


def _known_rates(settings: Settings, dataset: Dataset) -> tuple[Rates, str]:
    """Return the rates, remembered or measured, and which of the two they are."""
    training = settings.training
    asked = (ASKED, training.precision, training.jit, _most(settings, dataset))
    key = measurement_key(settings, dataset, *asked)
    rates = stored_rates().get(key, {})
    if rates and all(name.isdecimal() for name in rates):  # a file may hold anything
        return rates, "as measured before on this machine"
    rates = _measure(settings, dataset)
    remember(key, rates)
    return rates, "measured now"


def _smallest_fast(rates: Rates) -> int:
    """Return the first size whose double gains too little, or was not measured."""
    sizes = sorted(map(int, rates))
    for size, double in pairwise(sizes):
        if rates[str(double)] < GAIN * rates[str(size)]:
            return size
    return sizes[-1]


def _measure(settings: Settings, dataset: Dataset) -> Rates:
    """Return the examples/s of each size that is worth measuring."""
    rates: Rates = {}
    for size in _sizes(settings, dataset):
        try:
            rate = _rate(settings.changed(data={"batch_size": size}), dataset, size)
        except Exception as error:
            if rates and is_out_of_memory(error):
                break
            raise
        before = list(rates.values())
        rates[str(size)] = round(rate, 1)
        if before and rate < GAIN * before[-1]:
            break
    return rates


def _sizes(settings: Settings, dataset: Dataset) -> Iterator[int]:
    """Yield the sizes in turn, while twice the memory that the last one took is there."""
    most = _most(settings, dataset)
    if most <= SIZES[0]:
        yield settings.data.images_per_step  # what `resolve` chose by the number of images
        return
    limit = memory_limit()
    for size in (size for size in SIZES if size <= most):
        before = peak_memory() or 0
        yield size
        after = peak_memory() or 0
        if limit and after + 2 * (after - before) > MEMORY_SHARE * limit:
            return


def _most(settings: Settings, dataset: Dataset) -> int:
    """Return the largest size with which an epoch has enough steps."""
    return len(dataset.train) // STEPS_AT_LEAST // settings.training.steps_per_execution


def _rate(settings: Settings, dataset: Dataset, size: int) -> float:
    steps = TimedSteps(settings, dataset, size)
    steps.run()
    rate = steps.rate()
    del steps
    gc.collect()  # Keras' models are full of cycles
    return rate
