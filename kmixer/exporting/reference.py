"""What every export of a run is held against: real images, and what Keras says of them."""

from functools import cached_property
from statistics import median
from timeit import timeit

import numpy as np

from ..data import load
from ..evaluation.evaluate import predict
from ..runs.inference import probabilities

IMAGES = 256
REPRESENTATIVE = 512
PREDICT_CALLS = 30


class Evidence:
    """A run's Keras model, asked under the backend of this process.

    Args:
        run: a finished `Run`.
        dataset: its `Dataset`, or None: then Fashion-MNIST's images stand in, scaled to its size,
            and there is no accuracy to lose.
    """

    def __init__(self, run, dataset=None):
        self.run, self.dataset = run.in_float32(), dataset
        self.images = self._draw(dataset.test.images if dataset else _stand_in(run), IMAGES)

    @property
    def source(self):
        """Where the images are from, in words."""
        return f"{self.dataset.name}, test" if self.dataset else "Fashion-MNIST, scaled"

    @property
    def representative(self):
        """Training images to calibrate with, uint8 `(n, height, width, channels)`."""
        return self._draw(self.dataset.train.images, REPRESENTATIVE)

    @cached_property
    def model(self):
        """The Keras model in float32."""
        return self.run.load_model()

    @cached_property
    def probabilities(self):
        """What Keras says of `images`, `(n, classes)`."""
        return probabilities(self.model, self.images)

    @cached_property
    def accuracy(self):
        """Keras' share of right answers on the whole test set."""
        return predict(self.model, self.dataset.test).accuracy

    @cached_property
    def predict_seconds(self):
        """Median seconds of `model.predict` for an image by itself."""
        taken = [
            timeit(lambda image=image: self.model.predict(image[None], verbose=0), number=1)
            for image in self.images[: PREDICT_CALLS + 1]
        ]
        return median(taken[1:])

    def _draw(self, images, count):
        chosen = np.random.default_rng(0).permutation(len(images))[:count]
        return images[np.sort(chosen)]


def _stand_in(run):
    """Return Fashion-MNIST's test images in the run's size and channels."""
    from PIL import Image

    height, width, channels = run.info["input_shape"]
    images = load("fmnist").test.images[:IMAGES, :, :, 0]
    scaled = [Image.fromarray(image).resize((width, height)) for image in images]
    return np.repeat(np.stack(scaled)[..., None], channels, axis=3)
