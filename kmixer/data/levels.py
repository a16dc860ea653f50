"""The levels of 16-bit, integer and float images, and which of them is white.

Such files do not say which level is white: a camera of 12 bits writes 0 to 4,095 into 16. The
rule, for one image or for all of a folder together: white is the smallest of `LEVELS` that all but
a small share of the pixels reach at most, so that a few glints do not darken the rest. Black is 0.
"""

import sys
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

LEVELS = (255, 1_023, 4_095, 16_383, 65_535)
GLINTS, FLOAT_GLINTS = 0.001, 0.01  # shares of the pixels that may be above white
FAINT = 1 / 32  # float levels that end below this are white where they end, or all would be black
PHOTOMETRIC, SAMPLE_FORMAT, BITS = 262, 339, 258  # TIFF tags
WHITE_IS_ZERO, UNSIGNED = 0, 1
MOST = 0.5  # of the pixels of an image above white: it is of another scale
PIECE = 1_000_000  # levels that are looked at, or scaled, at a time

# How Pillow is asked for the other byte of 16-bit colors, of which it decodes the higher one.
LOWER_BYTE = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}


class LevelsError(ValueError):
    """An image's levels cannot be brought to 0 to 255, though its file is whole."""


def is_deep(image: Image.Image) -> bool:
    """Return whether an opened image has more than 8 bits a level."""
    return image.mode.startswith("I") or image.mode == "F" or is_deep_color(image)


def is_deep_color(image: Image.Image) -> bool:
    """Return whether an opened image, not decoded yet, has 16 bits of each color."""
    raw_mode, _, bits = _raw_mode(image).partition(";")
    return raw_mode in ("RGB", "RGBA") and raw_mode == image.mode and bits in LOWER_BYTE


def _raw_mode(image: Image.Image) -> str:
    """Return how the samples lie in the file, such as "RGB;16B", as Pillow names it."""
    tiles: list[Any] | None = getattr(image, "tile", None)
    if not tiles:
        return ""
    arguments = tiles[0].args
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def read_levels(image: Image.Image, reopen: Callable[[], Image.Image]) -> np.ndarray:
    """Return the levels of a deep image.

    Args:
        image: not decoded yet.
        reopen: opens the same file once more.

    Returns:
        `(height, width)`, or `(height, width, 3 or 4)` of colors.

    Raises:
        ValueError: a level is no finite number.
        LevelsError: all levels are negative.
    """
    levels = _both_bytes(image, reopen) if is_deep_color(image) else np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    unsigned = tags.get(BITS) == (32,) and tags.get(SAMPLE_FORMAT, (UNSIGNED,))[0] == UNSIGNED
    if unsigned and levels.dtype == np.int32:
        levels = levels.view(np.uint32)  # for which Pillow has no mode
    _check(levels)
    return levels


def _both_bytes(image: Image.Image, reopen: Callable[[], Image.Image]) -> np.ndarray:
    name, _, bits = _raw_mode(image).partition(";")
    wanted = f"{name};{LOWER_BYTE[bits]}"
    higher = np.asarray(image).astype(np.uint16) << 8
    with reopen() as again:
        opened = cast(ImageFile, again)
        opened.tile = [
            tile._replace(args=(wanted, *tile.args[1:]) if isinstance(tile.args, tuple) else wanted)
            for tile in opened.tile
        ]
        return higher | np.asarray(opened)


def without_alpha(levels: np.ndarray) -> np.ndarray:
    """Return levels without the fourth channel, if there is one."""
    return levels[:, :, :3] if levels.ndim == 3 else levels


def _check(levels: np.ndarray) -> None:
    if not np.isfinite(levels).all():
        raise ValueError("it has pixels that are not finite numbers (NaN or infinite)")
    least, most = levels.min(), levels.max()
    if least < 0 and most <= 0:
        raise LevelsError(f"all its levels are below black, which is 0: {least:g} to {most:g}")


def white_of(levels: np.ndarray) -> float:
    """Return which level is white: see this module's first lines.

    Beyond the last of `LEVELS`, and for float images that end below a 32nd, white is the level that
    all but the glints reach at most. White is 1 for float images only.
    """
    is_float = levels.dtype.kind == "f"
    share = FLOAT_GLINTS if is_float else GLINTS
    top = float(np.quantile(sample(levels), 1 - share, method="inverted_cdf"))
    if is_float and 0 < top < FAINT:
        return top
    candidates = (1, *LEVELS) if is_float else LEVELS
    return float(next((level for level in candidates if top <= level), top))


def sample(levels: np.ndarray, count: int = PIECE) -> np.ndarray:
    """Return about `count` levels, evenly spaced; all if there are no more."""
    return levels.ravel()[:: max(levels.size // count, 1) | 1]  # odd: not always the same columns


def check_scale(levels: np.ndarray, white: float) -> None:
    """Refuse an image that the white level of its data set would make all white, or all black.

    Raises:
        LevelsError: most of its levels lie above it; or they are floats up to 1 and it is not 1.
    """
    seen = sample(levels)
    most = float(seen.max())
    is_faint = levels.dtype.kind == "f" and 0 < most <= 1 and white > 1
    if np.count_nonzero(seen > white) > MOST * seen.size or is_faint:
        raise LevelsError(
            f"its levels reach {most:,g}, on another scale than those of its data set, where white"
            f" is {white:,g} (data.white_level)"
        )


def scale(levels: np.ndarray, white: float) -> np.ndarray:
    """Return levels as uint8 of the same shape: 0 and below are 0, `white` and above are 255."""
    scaled = np.empty(levels.shape, np.uint8)
    for start in range(
        0, levels.size, PIECE
    ):  # as float64 all of a large image would take eight times its size
        piece = levels.ravel()[start : start + PIECE].astype(np.float64)
        scaled.ravel()[start : start + PIECE] = np.rint(piece.clip(0, white) * 255 / white)
    return scaled


def is_negative(image: Image.Image) -> bool:
    """Return whether 0 is white: Pillow turns 8-bit TIFF files of this kind, and no others."""
    return getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO
