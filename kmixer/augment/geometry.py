"""Crop, shift and flip."""

from collections.abc import Sequence
from typing import Any

import keras

from .base import (
    PACKAGE,
    Array,
    ImageAugmentation,
    Namespace,
    cast,
    draw_rectangles,
    namespace,
    restore_dtype,
)


def bilinear_weights(xp: Namespace, positions: Array, size: int) -> Array:
    """Return the weights `(batch, out, size)` that read `size` pixels at `positions`.

    Args:
        xp: the namespace to compute in.
        positions: float32 `(batch, out)`, where the middle of the first pixel is 0.
        size: pixels of the side that is read.
    """
    pixels = xp.arange(0, size, dtype="float32")
    return xp.maximum(1.0 - xp.abs(positions[:, :, None] - pixels), 0.0)


def resample(images: Array, rows: Array, columns: Array) -> Array:
    """Read each image at its own fractional rows and columns, bilinearly.

    Two matrix products per image: exact, without gathers, and fast on CPUs and accelerators
    (docs/adr/0003). Positions outside the image read as 0.

    Args:
        images: `(batch, height, width, channels)`.
        rows: float32 `(batch, height)`, where to read the rows of the result.
        columns: float32 `(batch, width)`, where to read its columns.
    """
    xp = namespace(images)
    _, height, width, channels = images.shape
    down = bilinear_weights(xp, rows, height)  # (batch, out height, height)
    across = bilinear_weights(xp, columns, width)  # (batch, out width, width)
    pixels = cast(images, "float32")
    planes = [
        xp.matmul(xp.matmul(down, pixels[..., channel]), xp.swapaxes(across, 1, 2))
        for channel in range(channels)
    ]
    resampled = restore_dtype(xp, xp.stack(planes, axis=-1), images.dtype)
    # tf.experimental.numpy forgets static shapes; reshape states them again.
    return xp.reshape(resampled, (-1, height, width, channels))


@keras.saving.register_keras_serializable(PACKAGE)
class RandomResizedCrop(ImageAugmentation):
    """Crop a random area of a random aspect ratio and resize it to the image's own size.

    The crop is drawn as torchvision's RandomResizedCrop draws it: ten tries at an area (uniform
    share of the image's area) and a ratio (log-uniform); the first that fits is taken, else the
    largest centered crop within the ratio. Bilinear, half-pixel centers, clamped at the edge.

    Args:
        scale: (min, max) share of the area.
        ratio: (min, max) of width / height.
        kwargs: `seed`, and arguments of a Keras layer.
    """

    tries = 10
    draws = 2 * tries + 2

    def __init__(
        self,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.scale, self.ratio = tuple(scale), tuple(ratio)

    def transform(self, images: Array, draws: Array) -> Array:
        xp = namespace(images)
        _, height, width, _ = images.shape
        top, left, crop_height, crop_width = self.boxes(xp, draws, height, width)
        rows = _crop_positions(xp, top, crop_height, height)
        columns = _crop_positions(xp, left, crop_width, width)
        return resample(images, rows, columns)

    def boxes(
        self, xp: Namespace, draws: Array, height: int, width: int
    ) -> tuple[Array, Array, Array, Array]:
        """Return (top, left, height, width) of the crops in pixels, each float32 `(batch,)`."""
        uniforms = draws[:, : self.tries], draws[:, self.tries : 2 * self.tries]
        heights, widths = draw_rectangles(xp, uniforms, self.scale, self.ratio, height, width)
        first = _first_fit(xp, heights, widths, height, width)
        any_fits = xp.sum(first, axis=1)  # 1 or 0
        fallback_height, fallback_width = self._fallback(height, width)
        crop_height = xp.sum(first * heights, axis=1) + (1 - any_fits) * fallback_height
        crop_width = xp.sum(first * widths, axis=1) + (1 - any_fits) * fallback_width
        top = _crop_start(xp, any_fits, draws[:, -2], height - crop_height)
        left = _crop_start(xp, any_fits, draws[:, -1], width - crop_width)
        return top, left, crop_height, crop_width

    def _fallback(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) of the largest crop within the ratio."""
        low, high = self.ratio
        if width / height < low:
            return round(width / low), width
        if width / height > high:
            return height, round(height * high)
        return height, width

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"scale": self.scale, "ratio": self.ratio}


def _first_fit(xp: Namespace, heights: Array, widths: Array, height: int, width: int) -> Array:
    """Return 1 for the first of an image's tries that fits, 0 for the others, `(batch, tries)`."""
    fits = (heights >= 1) & (heights <= height) & (widths >= 1) & (widths <= width)
    fits = cast(fits, "float32")
    tries = fits.shape[1]
    rank = fits * xp.arange(tries, 0, -1, dtype="float32")  # the earliest fit has the largest
    return cast(rank == xp.max(rank, axis=1)[:, None], "float32") * fits


def _crop_start(xp: Namespace, is_random: Array, uniform: Array, free: Array) -> Array:
    """Return where crops begin, `(batch,)`, if `free` pixels lie beside them.

    Anywhere where `is_random` is 1; where it is 0, so that the crop is centered.
    """
    anywhere = xp.floor(uniform * (free + 1))
    return is_random * anywhere + (1 - is_random) * xp.floor(free / 2)


def _crop_positions(xp: Namespace, start: Array, length: Array, size: int) -> Array:
    """Return the positions `(batch, size)` that resize the crop [start, start + length) to size."""
    centers = xp.arange(0, size, dtype="float32") + 0.5
    positions = start[:, None] + centers * (length / size)[:, None] - 0.5
    last = (start + length - 1)[:, None]
    return xp.minimum(xp.maximum(positions, start[:, None]), last)


@keras.saving.register_keras_serializable(PACKAGE)
class RandomTranslation(ImageAugmentation):
    """Shift by whole pixels in each direction.

    Args:
        factor: largest shift as a share of the side, in [0, 1), in either direction.
        fill_mode: what fills the pixels that become free: `"constant"`, black; or `"nearest"`, the
            pixels of the border.
        kwargs: `seed`, and arguments of a Keras layer.
    """

    draws = 2

    def __init__(self, factor: float = 0.1, fill_mode: str = "constant", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor, self.fill_mode = factor, fill_mode

    def transform(self, images: Array, draws: Array) -> Array:
        xp = namespace(images)
        _, height, width, _ = images.shape
        rows = self._positions(xp, draws[:, 0], height)
        columns = self._positions(xp, draws[:, 1], width)
        return resample(images, rows, columns)

    def _positions(self, xp: Namespace, uniform: Array, size: int) -> Array:
        """Return the positions `(batch, size)` where the rows, or columns, are read."""
        shift = self._shift(xp, uniform, size)[:, None]
        positions = xp.arange(0, size, dtype="float32") - shift
        if self.fill_mode == "constant":
            return positions  # outside the image pixels read as 0
        return xp.minimum(xp.maximum(positions, 0.0), size - 1.0)

    def _shift(self, xp: Namespace, uniform: Array, size: int) -> Array:
        """Return whole numbers of pixels `(batch,)`, uniform over -largest … largest."""
        largest = int(self.factor * size)
        return xp.floor(uniform * (2 * largest + 1)) - largest

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"factor": self.factor, "fill_mode": self.fill_mode}


@keras.saving.register_keras_serializable(PACKAGE)
class RandomHorizontalFlip(ImageAugmentation):
    """Mirror left and right.

    Args:
        probability: of mirroring an image, in [0, 1].
        kwargs: `seed`, and arguments of a Keras layer.
    """

    draws = 1

    def __init__(self, probability: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.probability = probability

    def transform(self, images: Array, draws: Array) -> Array:
        xp = namespace(images)
        mirrored = (draws[:, 0] < self.probability)[:, None, None, None]
        return xp.where(mirrored, xp.flip(images, axis=2), images)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"probability": self.probability}
