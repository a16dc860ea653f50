"""Shear, shift and rotate: RandAugment's geometric operations, as tables of source pixels.

There are only ten movements (five operations, two directions), so where each pixel comes from is
computed once, in NumPy: the choice of the nearest pixel is the same under every backend, and moving
a batch is one lookup.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from .base import Array, Namespace, cast, row_numbers

Coordinates = tuple[np.ndarray, np.ndarray]  # x and y, each float64 (height, width)


def _shear_x(x: np.ndarray, y: np.ndarray, width: int, height: int, strength: float) -> Coordinates:
    return x + 0.3 * strength * y, y


def _shear_y(x: np.ndarray, y: np.ndarray, width: int, height: int, strength: float) -> Coordinates:
    return x, y + 0.3 * strength * x


def _translate_x(
    x: np.ndarray, y: np.ndarray, width: int, height: int, strength: float
) -> Coordinates:
    return x - int(150 / 331 * width * strength), y


def _translate_y(
    x: np.ndarray, y: np.ndarray, width: int, height: int, strength: float
) -> Coordinates:
    return x, y - int(150 / 331 * height * strength)


def _rotate(x: np.ndarray, y: np.ndarray, width: int, height: int, strength: float) -> Coordinates:
    """Turn counter-clockwise around the middle."""
    cos, sin = math.cos(math.radians(30 * strength)), math.sin(math.radians(30 * strength))
    x, y = x - width / 2, y - height / 2
    return cos * x - sin * y + width / 2, sin * x + cos * y + height / 2


# Each returns where the pixels at (x, y) of the result come from; the image's corner is (0, 0).
GEOMETRIC_OPS: dict[str, Callable[[np.ndarray, np.ndarray, int, int, float], Coordinates]] = {
    "ShearX": _shear_x,
    "ShearY": _shear_y,
    "TranslateX": _translate_x,
    "TranslateY": _translate_y,
    "Rotate": _rotate,
}


@lru_cache(maxsize=8)
def source_pixels(height: int, width: int, strength: float) -> np.ndarray:
    """Return the index of the pixel that each pixel comes from, or -1 where it is outside.

    Returns:
        int32 `(2 * len(GEOMETRIC_OPS), height * width)`: each operation forwards, then backwards.
    """
    y, x = np.mgrid[:height, :width] + 0.5
    moved = [
        move(x, y, width, height, signed)
        for move in GEOMETRIC_OPS.values()
        for signed in (strength, -strength)
    ]
    columns, rows = (np.floor(axis).astype(np.int32) for axis in zip(*moved, strict=True))
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    return np.where(inside, rows * width + columns, -1).reshape(len(moved), height * width)


def move_pixels(xp: Namespace, pixels: Array, choices: Array, strength: float) -> Array:
    """Apply one geometric operation to each image, by nearest neighbors; free pixels become black.

    Args:
        xp: the namespace to compute in.
        pixels: float32 `(batch, height, width, channels)`.
        choices: int32 `(batch,)`, rows of `source_pixels`; larger numbers mean the last row.
        strength: of the movements, in [0, 1].
    """
    _, height, width, channels = pixels.shape
    table = source_pixels(height, width, strength)
    origins = xp.take(table, xp.minimum(choices, len(table) - 1), axis=0)
    first_pixels = row_numbers(xp, choices) * (height * width)
    flat = xp.reshape(pixels, (-1, channels))
    moved = xp.take(flat, first_pixels[:, None] + xp.maximum(origins, 0), axis=0)
    moved = moved * cast(origins >= 0, "float32")[..., None]
    return xp.reshape(moved, (-1, height, width, channels))
