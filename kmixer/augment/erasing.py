"""Overwrite parts of an image."""

import keras

from .base import PACKAGE, ImageAugmentation, cast, draw_rectangles, namespace


@keras.saving.register_keras_serializable(PACKAGE)
class RandomErasing(ImageAugmentation):
    """Overwrite a random rectangle with black (Zhong et al., arXiv 1708.04896).

    Drawn as torchvision's RandomErasing draws it, but with one try: a rectangle that would not fit
    is cut to the image.

    Args:
        probability: of erasing in an image, in [0, 1].
        scale: (min, max) share of the area.
        ratio: (min, max) of width / height, drawn log-uniformly.
    """

    draws = 5

    def __init__(self, probability=0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), **kwargs):
        super().__init__(**kwargs)
        self.probability, self.scale, self.ratio = probability, tuple(scale), tuple(ratio)

    def transform(self, images, draws):
        xp = namespace(images)
        _, height, width, _ = images.shape
        uniforms = draws[:, 1], draws[:, 2]
        tall, wide = draw_rectangles(xp, uniforms, self.scale, self.ratio, height, width)
        tall, wide = xp.minimum(tall, float(height)), xp.minimum(wide, float(width))
        tall = tall * cast(draws[:, 0] < self.probability, "float32")
        rows = _span(xp, draws[:, 3], tall, height)
        columns = _span(xp, draws[:, 4], wide, width)
        erased = (rows[:, :, None] & columns[:, None, :])[..., None]
        return xp.where(erased, xp.zeros_like(images), images)

    def get_config(self):
        return super().get_config() | {
            "probability": self.probability,
            "scale": self.scale,
            "ratio": self.ratio,
        }


def _span(xp, uniform, length, size):
    """Return a mask `(batch, size)` of `length` pixels from a random start that fits."""
    start = xp.floor(uniform * (size - length + 1))[:, None]
    pixels = xp.arange(0, size, dtype="float32")
    return (pixels >= start) & (pixels < start + length[:, None])
