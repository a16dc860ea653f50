"""Shear, shift and rotate: RandAugment's geometric operations, as tables of source pixels.

All images of a batch draw from the same few movements, so where each pixel comes from is computed
once, in NumPy: the choice of the nearest pixel is the same under every backend, and moving a batch
is one lookup.
"""

import math
from functools import lru_cache

import numpy as np

from .base import cast, row_numbers


def _shear_x(x, y, width, height, strength):
    return x + 0.3 * strength * y, y


def _shear_y(x, y, width, height, strength):
    return x, y + 0.3 * strength * x


def _translate_x(x, y, width, height, strength):
    return x - int(150 / 331 * width * strength), y


def _translate_y(x, y, width, height, strength):
    return x, y - int(150 / 331 * height * strength)


def _rotate(x, y, width, height, strength):
    """Turn counter-clockwise around the middle."""
    cos, sin = math.cos(math.radians(30 * strength)), math.sin(math.radians(30 * strength))
    x, y = x - width / 2, y - height / 2
    return cos * x - sin * y + width / 2, sin * x + cos * y + height / 2


# Each tells where the pixels come from that are to be at (x, y), the image's corner being (0, 0).
WARPS = {
    "ShearX": _shear_x,
    "ShearY": _shear_y,
    "TranslateX": _translate_x,
    "TranslateY": _translate_y,
    "Rotate": _rotate,
}


@lru_cache(maxsize=8)
def sources(height, width, strength):
    """Return the pixel that each pixel comes from, or -1 for none.

    Returns:
        int32 `(2 * len(WARPS), height * width)`: each warp forwards and backwards.
    """
    y, x = np.mgrid[:height, :width] + 0.5
    rows = [warp(x, y, width, height, s) for warp in WARPS.values() for s in (strength, -strength)]
    columns, lines = (np.floor(axis).astype(np.int32) for axis in zip(*rows, strict=True))
    inside = (columns >= 0) & (columns < width) & (lines >= 0) & (lines < height)
    return np.where(inside, lines * width + columns, -1).reshape(len(rows), height * width)


def warp(xp, pixels, choices, strength):
    """Move the pixels of each image by nearest neighbours; what comes in from outside is black.

    Args:
        xp: the namespace to compute in.
        pixels: float32 `(batch, height, width, channels)`.
        choices: int32 `(batch,)`, rows of `sources`; those beyond its end mean the last.
        strength: of the movements, in [0, 1].
    """
    _, height, width, channels = pixels.shape
    table = sources(height, width, strength)
    origins = xp.take(table, xp.minimum(choices, len(table) - 1), axis=0)
    firsts = row_numbers(xp, choices) * (height * width)
    flat = xp.reshape(pixels, (-1, channels))
    moved = xp.take(flat, firsts[:, None] + xp.maximum(origins, 0), axis=0)
    moved = moved * cast(origins >= 0, "float32")[..., None]
    return xp.reshape(moved, (-1, height, width, channels))
