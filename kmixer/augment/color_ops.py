"""RandAugment's operations on colors, with Pillow's arithmetic.

Each takes (namespace, pixels, signs, strength): pixels float32 `(batch, height, width, channels)`
of whole numbers from 0 to 255, signs float32 `(batch, 1, 1, 1)` of 1 and -1, strength from 0 to 1;
and returns pixels. The first four are those of Pillow's ImageEnhance: a step away from a degenerate
image, such as a black or a gray one, or towards it. The others are those of ImageOps.
"""

from collections.abc import Callable

import keras
import numpy as np

from .base import Array, Namespace, cast, round_half_up, row_numbers

LEVELS = np.arange(256, dtype=np.float32)

SLACK = 1e-3  # added before rounding down: a float32 just below a whole number means that number


def brightness(xp: Namespace, pixels: Array, signs: Array, strength: float) -> Array:
    """Lighten or darken."""
    return _step_away(xp, pixels, 0.0, signs * strength)


def color(xp: Namespace, pixels: Array, signs: Array, strength: float) -> Array:
    """Make the colors stronger or grayer; images without colors stay as they are."""
    return _step_away(xp, pixels, _gray(xp, pixels), signs * strength)


def contrast(xp: Namespace, pixels: Array, signs: Array, strength: float) -> Array:
    """Move all levels away from the mean gray, or towards it."""
    mean = xp.mean(_gray(xp, pixels), axis=(1, 2, 3), keepdims=True)
    return _step_away(xp, pixels, round_half_up(xp, mean), signs * strength)


def sharpness(xp: Namespace, pixels: Array, signs: Array, strength: float) -> Array:
    """Sharpen or smooth; the outermost pixels stay as they are."""
    _, height, width, _ = pixels.shape
    padded = xp.pad(pixels, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="constant")
    sums = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    sums = sums[:, :, :-2] + sums[:, :, 1:-1] + sums[:, :, 2:]
    smooth = round_half_up(xp, (sums + 4 * pixels) / 13)
    inside = np.zeros((height, width, 1), bool)
    inside[1:-1, 1:-1] = True
    return _step_away(xp, pixels, xp.where(inside, smooth, pixels), signs * strength)


def posterize(xp: Namespace, pixels: Array, signs: Array, strength: float) -> Array:
    """Keep the upper bits of each level, 4 or more."""
    step = 2.0 ** round(4 * strength)
    return xp.floor(pixels / step) * step


def solarize(xp: Namespace, pixels: Array, signs: Array, strength: float) -> Array:
    """Invert the bright levels."""
    return xp.where(pixels >= 255 * (1 - strength), 255 - pixels, pixels)


def autocontrast(xp: Namespace, pixels: Array, signs: Array, strength: float) -> Array:
    """Stretch each channel's levels to 0 … 255; a channel of one level stays as it is."""
    low = xp.min(pixels, axis=(1, 2), keepdims=True)
    high = xp.max(pixels, axis=(1, 2), keepdims=True)
    stretched = (pixels - low) * 255 / xp.maximum(high - low, 1.0)
    return xp.where(high > low, _levels(xp, stretched), pixels)


def equalize(xp: Namespace, pixels: Array, signs: Array, strength: float) -> Array:
    """Spread each channel's levels evenly; the count of the brightest level is ignored."""
    channels = pixels.shape[-1]
    # The index of each pixel's level in a flat table (batch, channels, levels).
    histograms = row_numbers(xp, signs) * channels + xp.arange(0, channels, dtype="int32")
    entries = histograms * len(LEVELS) + cast(pixels, "int32")
    counts = xp.reshape(_counts(xp, pixels, entries), (-1, channels, len(LEVELS)))
    up_to = xp.cumsum(counts, axis=-1)
    darker = xp.max(xp.where(up_to < up_to[..., -1:], up_to, 0.0), axis=-1, keepdims=True)
    step = xp.floor(darker / 255)
    spread = xp.floor((up_to - counts + xp.floor(step / 2)) / xp.maximum(step, 1.0))
    table = xp.where(step > 0, xp.minimum(spread, 255.0), LEVELS)
    return xp.take(xp.reshape(table, (-1,)), entries)


COLOR_OPS: dict[str, Callable[[Namespace, Array, Array, float], Array]] = {
    "Brightness": brightness,
    "Color": color,
    "Contrast": contrast,
    "Sharpness": sharpness,
    "Posterize": posterize,
    "Solarize": solarize,
    "AutoContrast": autocontrast,
    "Equalize": equalize,
}


def _step_away(xp: Namespace, pixels: Array, degenerate: Array, share: Array) -> Array:
    return _levels(xp, pixels + 0.9 * share * (pixels - degenerate))


def _levels(xp: Namespace, values: Array) -> Array:
    """Round down to whole numbers and clip them to 0 … 255."""
    return xp.clip(xp.floor(values + SLACK), 0.0, 255.0)


def _gray(xp: Namespace, pixels: Array) -> Array:
    """Weigh red, green and blue as ITU-R 601-2 does; return images without colors as they are."""
    if pixels.shape[-1] != 3:
        return pixels
    red, green, blue = (pixels[..., channel : channel + 1] for channel in range(3))
    return xp.floor((19595 * red + 38470 * green + 7471 * blue + 32768) / 65536)


def _counts(xp: Namespace, pixels: Array, entries: Array) -> Array:
    """Count how often each entry of the table occurs, float32 `(batch * channels * 256,)`."""
    flat, size = xp.reshape(entries, (-1,)), pixels.shape[-1] * len(LEVELS)
    if xp is np:
        return np.bincount(flat, minlength=len(pixels) * size).astype(np.float32)
    ones = xp.reshape(xp.ones_like(pixels), (-1,))
    if xp is keras.ops:
        return xp.segment_sum(ones, flat, keras.ops.shape(pixels)[0] * size)
    import tensorflow as tf

    return tf.math.unsorted_segment_sum(ones, flat, tf.shape(pixels)[0] * size)
