"""Mix each image and its label with the image at the mirrored position of the batch, `batch[::-1]`.

Calling a layer mixes pixels only; `mix_labels` with the same draws mixes the labels, as the input
pipeline does. The middle image of an odd batch is its own partner and stays as it is.
"""

from typing import Any

import keras
import numpy as np
from scipy.special import betaincinv

from .base import PACKAGE, Array, ImageAugmentation, Namespace, cast, namespace, restore_dtype

QUANTILES = 4097


class _Mixing(ImageAugmentation):
    """The base of MixUp and CutMix: draws how much of the image stays, from a Beta distribution.

    Args:
        alpha: both parameters of the Beta distribution; 1 is uniform.

    Raises:
        ValueError: alpha is not positive.
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not alpha > 0:
            raise ValueError(f"alpha: received {alpha}, expected more than 0")
        self.alpha = alpha
        levels = np.linspace(0, 1, QUANTILES)
        self._quantiles = betaincinv(alpha, alpha, levels).astype(np.float32)

    def _beta(self, xp: Namespace, uniforms: Array) -> Array:
        """Turn uniform numbers into Beta-distributed ones, by interpolated quantiles."""
        positions = uniforms * (QUANTILES - 1)
        below = cast(xp.floor(positions), "int32")
        low, high = (xp.take(self._quantiles, index) for index in (below, below + 1))
        return low + (high - low) * (positions - cast(below, "float32"))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"alpha": self.alpha}


@keras.saving.register_keras_serializable(PACKAGE)
class MixUp(_Mixing):
    """Blend each image with its partner, and their labels alike (arXiv 1710.09412, section 2).

    As in the paper, except that the weight is drawn for each image instead of each batch.
    """

    draws = 1

    def transform(self, images: Array, draws: Array) -> Array:
        xp = namespace(images)
        weight = self._beta(xp, draws[:, 0])[:, None, None, None]
        pixels = cast(images, "float32")
        return restore_dtype(xp, _blend(xp, pixels, weight), images.dtype)

    def mix_labels(self, labels: Array, draws: Array, size: tuple[int, int]) -> Array:
        xp = namespace(labels)
        return _blend(xp, labels, self._beta(xp, draws[:, 0])[:, None])


@keras.saving.register_keras_serializable(PACKAGE)
class CutMix(_Mixing):
    """Paste a rectangle of the partner, and blend the labels by area (arXiv 1905.04899, section 3).

    The rectangle has the image's aspect ratio and a uniform center; what lies outside the image is
    cut off, and the labels follow the pixels that were pasted.
    """

    draws = 3

    def transform(self, images: Array, draws: Array) -> Array:
        xp = namespace(images)
        _, height, width, _ = images.shape
        rows, columns = self._rectangle(xp, draws, (height, width))
        pasted = (rows[:, :, None] & columns[:, None, :])[..., None]
        return xp.where(pasted, xp.flip(images, axis=0), images)

    def mix_labels(self, labels: Array, draws: Array, size: tuple[int, int]) -> Array:
        xp = namespace(labels)
        masks = self._rectangle(xp, draws, size)
        rows, columns = (xp.sum(cast(mask, "float32"), axis=1) for mask in masks)
        weight = 1 - rows * columns / (size[0] * size[1])
        return _blend(xp, labels, weight[:, None])

    def _rectangle(self, xp: Namespace, draws: Array, size: tuple[int, int]) -> tuple[Array, Array]:
        """Return the masks of its rows and columns, bool `(batch, height)` and `(batch, width)`."""
        height, width = size
        side = xp.sqrt(1 - self._beta(xp, draws[:, 0]))  # as a share of the image's
        rows = _interval_mask(xp, draws[:, 1] * height, side * height, height)
        columns = _interval_mask(xp, draws[:, 2] * width, side * width, width)
        return rows, columns


def _blend(xp: Namespace, values: Array, weight: Array) -> Array:
    return values * weight + xp.flip(values, axis=0) * (1 - weight)


def _interval_mask(xp: Namespace, center: Array, length: Array, size: int) -> Array:
    """Return the mask `(batch, size)` of the pixels whose middles lie within `length`."""
    middles = xp.arange(0, size, dtype="float32") + 0.5
    return xp.abs(middles - center[:, None]) < length[:, None] / 2
