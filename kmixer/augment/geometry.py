"""Crop, shift and flip."""

import keras

from .base import (
    PACKAGE,
    ImageAugmentation,
    cast,
    draw_rectangles,
    namespace,
    restore_dtype,
)


def hat_weights(xp, positions, size):
    """Return the bilinear weights `(batch, out, size)` of reading at `positions` `(batch, out)`."""
    pixels = xp.arange(0, size, dtype="float32")
    return xp.maximum(1.0 - xp.abs(positions[:, :, None] - pixels), 0.0)


def resample(images, rows, columns):
    """Read each image at the crossings of its own fractional rows and columns, bilinearly.

    A separable matrix product per image: exact, without gathers, and as fast on two CPU cores as
    on an accelerator. Positions outside the image read as 0.
    """
    xp = namespace(images)
    _, height, width, channels = images.shape
    down = hat_weights(xp, rows, height)  # (batch, out height, height)
    across = hat_weights(xp, columns, width)  # (batch, out width, width)
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
    largest centred crop within the ratio. Bilinear, half-pixel centres, clamped at the crop's edge.

    Args:
        scale: (min, max) share of the area.
        ratio: (min, max) of width / height.
    """

    tries = 10
    draws = 2 * tries + 2

    def __init__(self, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3), **kwargs):
        super().__init__(**kwargs)
        self.scale, self.ratio = tuple(scale), tuple(ratio)

    def transform(self, images, draws):
        xp = namespace(images)
        _, height, width, _ = images.shape
        top, left, crop_height, crop_width = self.boxes(xp, draws, height, width)
        rows = _crop_positions(xp, top, crop_height, height)
        columns = _crop_positions(xp, left, crop_width, width)
        return resample(images, rows, columns)

    def boxes(self, xp, draws, height, width):
        """Return (top, left, height, width) in pixels, each float32 `(batch,)`."""
        uniforms = draws[:, : self.tries], draws[:, self.tries : 2 * self.tries]
        crop_heights, crop_widths = draw_rectangles(
            xp, uniforms, self.scale, self.ratio, height, width
        )
        fits = (crop_heights >= 1) & (crop_heights <= height)
        fits = cast(fits & (crop_widths >= 1) & (crop_widths <= width), "float32")
        order = xp.arange(self.tries, 0, -1, dtype="float32")
        first = cast(fits * order == xp.max(fits * order, axis=1)[:, None], "float32") * fits
        some = xp.max(fits, axis=1)  # 1 where a try fits, else 0
        fallback_height, fallback_width = self._fallback(height, width)
        crop_height = xp.sum(first * crop_heights, axis=1) + (1 - some) * fallback_height
        crop_width = xp.sum(first * crop_widths, axis=1) + (1 - some) * fallback_width
        down, across = draws[:, -2], draws[:, -1]
        top = xp.floor(some * down * (height - crop_height + 1))
        left = xp.floor(some * across * (width - crop_width + 1))
        centre_top = (1 - some) * xp.floor((height - crop_height) / 2)
        centre_left = (1 - some) * xp.floor((width - crop_width) / 2)
        return top + centre_top, left + centre_left, crop_height, crop_width

    def _fallback(self, height, width):
        low, high = self.ratio
        if width / height < low:
            return round(width / low), width
        if width / height > high:
            return height, round(height * high)
        return height, width

    def get_config(self):
        return super().get_config() | {"scale": self.scale, "ratio": self.ratio}


def _crop_positions(xp, start, length, size):
    """Return the positions `(batch, size)` that resize the crop [start, start + length) to size."""
    centres = xp.arange(0, size, dtype="float32") + 0.5
    positions = start[:, None] + centres * (length / size)[:, None] - 0.5
    last = (start + length - 1)[:, None]
    return xp.minimum(xp.maximum(positions, start[:, None]), last)


@keras.saving.register_keras_serializable(PACKAGE)
class RandomTranslation(ImageAugmentation):
    """Shift by whole pixels in each direction.

    Args:
        factor: largest shift as a share of the side, in [0, 1); both signs are drawn alike.
        fill_mode: what comes in from outside: `"constant"`, black; or `"nearest"`, the border's
            pixels again.
    """

    draws = 2

    def __init__(self, factor=0.1, fill_mode="constant", **kwargs):
        super().__init__(**kwargs)
        self.factor, self.fill_mode = factor, fill_mode

    def transform(self, images, draws):
        xp = namespace(images)
        _, height, width, _ = images.shape
        rows, columns = (
            self._positions(xp, draws[:, axis], size) for axis, size in enumerate((height, width))
        )
        return resample(images, rows, columns)

    def _positions(self, xp, uniform, size):
        """Return where each row, or column, `(batch, size)` is read."""
        shift = self._shift(xp, uniform, size)[:, None]
        positions = xp.arange(0, size, dtype="float32") - shift
        if self.fill_mode == "constant":
            return positions  # those outside read as 0
        return xp.minimum(xp.maximum(positions, 0.0), size - 1.0)

    def _shift(self, xp, uniform, size):
        """Return a whole number of pixels, uniform over -most … most."""
        most = int(self.factor * size)
        return xp.floor(uniform * (2 * most + 1)) - most

    def get_config(self):
        return super().get_config() | {"factor": self.factor, "fill_mode": self.fill_mode}


@keras.saving.register_keras_serializable(PACKAGE)
class RandomHorizontalFlip(ImageAugmentation):
    """Mirror left and right.

    Args:
        probability: of mirroring an image, in [0, 1].
    """

    draws = 1

    def __init__(self, probability=0.5, **kwargs):
        super().__init__(**kwargs)
        self.probability = probability

    def transform(self, images, draws):
        xp = namespace(images)
        mirrored = (draws[:, 0] < self.probability)[:, None, None, None]
        return xp.where(mirrored, xp.flip(images, axis=2), images)

    def get_config(self):
        return super().get_config() | {"probability": self.probability}
