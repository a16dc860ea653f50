"""Overwrite parts of an image."""

from collections.abc import Sequence
from typing import Any

import keras

from .base import PACKAGE, Array, ImageAugmentation, Namespace, cast, draw_rectangles, namespace


@keras.saving.register_keras_serializable(PACKAGE)
class RandomErasing(ImageAugmentation):
    """Overwrite a random rectangle with black (Zhong et al., arXiv 1708.04896).

    Drawn as torchvision's RandomErasing draws it, but with one try: a rectangle that would not fit
    is cut to the image.

    Args:
        probability: of erasing in an image, in [0, 1].
        scale: (min, max) share of the area.
        ratio: (min, max) of width / height, drawn log-uniformly.
        kwargs: `seed`, and arguments of a Keras layer.
    """

    draws = 5

    def __init__(
        self,
        probability: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.probability, self.scale, self.ratio = probability, tuple(scale), tuple(ratio)

    def transform(self, images: Array, draws: Array) -> Array:
        xp = namespace(images)
        _, height, width, _ = images.shape
        uniforms = draws[:, 1], draws[:, 2]
        heights, widths = draw_rectangles(xp, uniforms, self.scale, self.ratio, height, width)
        heights, widths = xp.minimum(heights, float(height)), xp.minimum(widths, float(width))
        heights = heights * cast(draws[:, 0] < self.probability, "float32")
        rows = _interval_mask(xp, draws[:, 3], heights, height)
        columns = _interval_mask(xp, draws[:, 4], widths, width)
        erased = (rows[:, :, None] & columns[:, None, :])[..., None]
        return xp.where(erased, xp.zeros_like(images), images)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "probability": self.probability,
            "scale": self.scale,
            "ratio": self.ratio,
        }


def _interval_mask(xp: Namespace, uniform: Array, length: Array, size: int) -> Array:
    """Return a mask `(batch, size)` of `length` pixels from a random start that fits."""
    start = xp.floor(uniform * (size - length + 1))[:, None]
    pixels = xp.arange(0, size, dtype="float32")
    return (pixels >= start) & (pixels < start + length[:, None])
