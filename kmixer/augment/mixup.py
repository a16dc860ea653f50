"""Mix each image and its label with its partner's, the one as far from the batch's other end.

Calling a layer mixes pixels only; `mix_labels` with the same draws mixes the labels, as the
pipeline does. The middle image of an odd batch, or a batch's only one, is its own partner and stays
as it is.
"""

import keras
import numpy as np
from scipy.special import betaincinv

from .base import PACKAGE, ImageAugmentation, cast, namespace, restore_dtype

QUANTILES = 4097


class _Mixing(ImageAugmentation):
    """What MixUp and CutMix share: a Beta-distributed share of the image that stays.

    Args:
        alpha: both parameters of the Beta distribution; 1 is uniform.

    Raises:
        ValueError: alpha is not positive.
    """

    def __init__(self, alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        if not alpha > 0:
            raise ValueError(f"alpha: received {alpha}, expected more than 0")
        self.alpha = alpha
        levels = np.linspace(0, 1, QUANTILES)
        self._quantiles = betaincinv(alpha, alpha, levels).astype(np.float32)

    def _share(self, xp, uniforms):
        """Turn uniform numbers into Beta-distributed ones, by interpolated quantiles."""
        place = uniforms * (QUANTILES - 1)
        below = cast(xp.floor(place), "int32")
        low, high = (xp.take(self._quantiles, index) for index in (below, below + 1))
        return low + (high - low) * (place - cast(below, "float32"))

    def get_config(self):
        return super().get_config() | {"alpha": self.alpha}


@keras.saving.register_keras_serializable(PACKAGE)
class MixUp(_Mixing):
    """Blend each image with its partner, and their labels alike (arXiv 1710.09412, section 2).

    As in the paper but for the share, which is drawn for each image instead of each batch.
    """

    draws = 1

    def transform(self, images, draws):
        xp = namespace(images)
        share = self._share(xp, draws[:, 0])[:, None, None, None]
        pixels = cast(images, "float32")
        return restore_dtype(xp, _blend(xp, pixels, share), images.dtype)

    def mix_labels(self, labels, draws, size):
        xp = namespace(labels)
        return _blend(xp, labels, self._share(xp, draws[:, 0])[:, None])


@keras.saving.register_keras_serializable(PACKAGE)
class CutMix(_Mixing):
    """Paste a rectangle of the partner, and blend the labels by area (arXiv 1905.04899, section 3).

    The rectangle has the image's aspect ratio and a uniform centre; what leaves the image is cut
    off, and the labels follow the pixels that are left.
    """

    draws = 3

    def transform(self, images, draws):
        xp = namespace(images)
        _, height, width, _ = images.shape
        rows, columns = self._rectangle(xp, draws, (height, width))
        pasted = (rows[:, :, None] & columns[:, None, :])[..., None]
        return xp.where(pasted, xp.flip(images, axis=0), images)

    def mix_labels(self, labels, draws, size):
        xp = namespace(labels)
        sides = self._rectangle(xp, draws, size)
        rows, columns = (xp.sum(cast(mask, "float32"), axis=1) for mask in sides)
        share = 1 - rows * columns / (size[0] * size[1])
        return _blend(xp, labels, share[:, None])

    def _rectangle(self, xp, draws, size):
        """Return the masks of its rows and columns, bool `(batch, height)` and `(batch, width)`."""
        side = xp.sqrt(1 - self._share(xp, draws[:, 0]))  # as a share of the image's
        return tuple(
            _span(xp, draws[:, 1 + axis] * length, side * length, length)
            for axis, length in enumerate(size)
        )


def _blend(xp, values, share):
    return values * share + xp.flip(values, axis=0) * (1 - share)


def _span(xp, centre, length, size):
    """Return the mask `(batch, size)` of the pixels whose middles are within `length`."""
    middles = xp.arange(0, size, dtype="float32") + 0.5
    return xp.abs(middles - centre[:, None]) < length[:, None] / 2
