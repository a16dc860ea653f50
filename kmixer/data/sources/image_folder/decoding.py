"""How a folder's images are decoded: chosen by what the images are, unless the options say it."""

from collections.abc import Sequence
from statistics import median

from ...decode import Decoding
from ..source import LoadOptions
from .listing import Listing

MAX_SIDE = 224


def choose_decoding(
    listings: Sequence[Listing], options: LoadOptions
) -> tuple[Decoding, list[str]]:
    """Choose size, channels and the rest for the images of all splits.

    Args:
        listings: the images, described.
        options: what they leave open is chosen.

    Returns:
        (the `Decoding`, notes on what was chosen and why, for people).
    """
    sizes = [size for listing in listings for size in listing.sizes]
    size = options.image_size or _common_side(sizes, options.resize_size)
    height, width = size if isinstance(size, tuple) else (size, size)
    gray = all(listing.gray for listing in listings)
    channels = options.channels or (1 if gray else 3)
    return Decoding(height, width, channels, options.fit, options.white_level), []


def _common_side(sizes: list[tuple[int, int]], resize_size: int | None) -> int:
    """Return the side of all images, or where they differ the median shorter one, at most 224."""
    sides = {width for width, _ in sizes} | {height for _, height in sizes}
    if len(sides) == 1:
        (side,) = sides
        return min(side, resize_size or side)
    shorter = median(min(size) for size in sizes)
    return int(min(max(round(shorter / 4) * 4, 4), resize_size or MAX_SIDE))
