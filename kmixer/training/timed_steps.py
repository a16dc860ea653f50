"""Training steps of a model on one batch, again and again, to measure how fast they are."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.batches import repeated
from ..models.factory import build_model
from .benchmark_rates import QUIET
from .callbacks.timing import StepClock
from .optimizer import compile_model

if TYPE_CHECKING:
    import keras

    from ..config import Settings
    from ..data import Dataset

STEPS = 5  # each time


class TimedSteps:
    """A compiled model, and a batch that it is trained on again and again.

    Args:
        settings: resolved `Settings`, with the precision and jit that are measured.
        dataset: their `Dataset`, whose first images are trained on.
        images: in the batch.
        model: of these settings; default: built here.
    """

    def __init__(
        self, settings: Settings, dataset: Dataset, images: int, model: keras.Model | None = None
    ) -> None:
        classes, train = len(dataset.class_names), dataset.train
        self.clock = StepClock()
        self.model = model or build_model(settings, dataset.image_shape, classes)
        compile_model(self.model, settings, steps_per_epoch=STEPS)
        pixels = train.images[:images]
        labels = np.eye(classes, dtype=np.float32)[train.labels[: len(pixels)]]
        self.batches, self.examples = repeated((pixels, labels)), len(pixels)
        self.run()  # the first steps compile, and wait for memory
        self.clock = StepClock()

    def run(self) -> None:
        """Train some steps; the clock does not count what `fit` does before the first."""
        options: dict[str, Any] = QUIET | {"callbacks": [self.clock]}
        self.model.fit(self.batches, steps_per_epoch=STEPS, epochs=1, **options)

    def rate(self) -> float:
        """Return the examples/s of the median step."""
        return self.examples / median(self.clock.seconds)
