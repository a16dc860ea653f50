"""The Keras model's answers, which every exported file is compared with."""

from __future__ import annotations

from functools import cached_property, partial
from statistics import median
from timeit import timeit
from typing import TYPE_CHECKING

import numpy as np

from ..data.sources.fashion_mnist import scaled_fashion_mnist
from ..data.stored_images import Images
from ..evaluation.evaluate import predict_split
from ..runs.answers import Answers
from ..runs.inference import predict_probabilities

if TYPE_CHECKING:
    from ..data import Dataset
    from ..runs.run import Run

IMAGES = 256
CALIBRATION_IMAGES = 512
PREDICT_CALLS = 30


class Reference:
    """A run's Keras model in float32, and its answers under the backend of this process.

    The constructor reads the weights, so that a damaged run fails before a process is started.

    Args:
        run: a finished run.
        dataset: its data; None: Fashion-MNIST's test images, scaled to the run's size, are used
            instead, and there is no accuracy.
        missing: why there is none, for people, such as `its images are not here`.
    """

    def __init__(self, run: Run, dataset: Dataset | None = None, missing: str = "") -> None:
        self.run, self.dataset, self.missing = run.in_float32(), dataset, missing
        self.model = self.run.load_model()
        shape = run.info["input_shape"]
        test_images = dataset.test.images if dataset else scaled_fashion_mnist(shape, IMAGES)
        self.images = _sample(test_images, IMAGES)

    @property
    def source(self) -> str:
        """Where the images come from, in words."""
        if self.dataset:
            return f"{self.dataset.name}, test"
        return f"Fashion-MNIST, scaled: {self.missing}" if self.missing else "Fashion-MNIST, scaled"

    @property
    def answers(self) -> Answers | None:
        """The thresholds of the run's answers; None: it has none."""
        return self.run.answers

    @cached_property
    def probabilities(self) -> np.ndarray:
        """The model's probabilities for `images`, `(n, classes)`."""
        return predict_probabilities(self.model, self.images)

    @cached_property
    def predict_seconds(self) -> float:
        """The median seconds of `model.predict` for a single image."""
        times = [
            timeit(partial(self.model.predict, image[None], verbose=0), number=1)
            for image in self.images[: PREDICT_CALLS + 1]
        ]
        return median(times[1:])

    @cached_property
    def right(self) -> np.ndarray:
        """Which images of the whole test set the model gets right, bool `(n,)`.

        Raises:
            ValueError: there is no data set.
        """
        predictions = predict_split(self.model, self._dataset.test)
        return predictions.predicted == predictions.labels

    @property
    def calibration_images(self) -> np.ndarray:
        """Training images to calibrate with, uint8 `(n, height, width, channels)`.

        Raises:
            ValueError: there is no data set.
        """
        dataset = self._dataset  # of changed data, none of the training images may be there now
        return _sample((dataset.train if len(dataset.train) else dataset.test).images,
                       CALIBRATION_IMAGES)  # fmt: skip

    @property
    def _dataset(self) -> Dataset:
        if self.dataset is None:
            raise ValueError(f"{self.run.folder}: the reference has no data set")
        return self.dataset


def _sample(images: Images, count: int) -> np.ndarray:
    chosen = np.random.default_rng(0).permutation(len(images))[:count]
    return images[np.sort(chosen)]
