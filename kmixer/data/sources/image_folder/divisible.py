"""Sizes that the patches of a model divide; `kmixer.models.patches` chooses the patches."""

import math
from collections.abc import Iterator

WANTED, FEWEST, MOST = 7, 4, 14  # patches along a side; of an oblong image, the geometric mean


def divisible_size(height: int, width: int, most_pixels: int | None = None) -> tuple[int, int]:
    """Return the size, near this one in shape and area, that patches divide sensibly.

    Args:
        height: in pixels.
        width: in pixels.
        most_pixels: the area that the size shall have about, if this one's is larger.

    Returns:
        (height, width): multiples of 4, unless the size itself will do.

    Example:
        >>> divisible_size(97, 97), divisible_size(1080, 1920, 224**2)
        ((96, 96), (160, 288))
    """
    scale = min(1.0, math.sqrt((most_pixels or height * width) / (height * width)))
    if scale == 1 and _patches_along_a_side(height, width):
        return height, width
    target = height * scale, width * scale

    def cost(size: tuple[int, int]) -> float:
        shape = abs(math.log(size[0] / size[1] / (height / width)))
        area = abs(math.log(math.prod(size) / math.prod(target)))
        patches = _patches_along_a_side(*size) or 0.0
        return 2 * shape + area / 2 + abs(patches - WANTED) / 50

    side = max(round(math.sqrt(math.prod(target)) / 4) * 4, 4)
    return min(_multiples(*target), key=cost, default=(side, side))  # the last for long strips


def _multiples(height: float, width: float) -> Iterator[tuple[int, int]]:
    """Yield sizes near this one whose sides are multiples of a patch size."""
    for size in range(4, max(int(min(height, width)), 4) + 1, 4):
        rows, columns = max(round(height / size), 1), max(round(width / size), 1)
        if _patches_along_a_side(rows * size, columns * size):
            yield rows * size, columns * size


def _patches_along_a_side(height: int, width: int) -> float | None:
    """Return the number nearest to seven that a common divisor gives; None: none is sensible."""
    common, mean = math.gcd(height, width), math.sqrt(height * width)
    counts = [mean / size for size in range(1, common + 1) if common % size == 0]
    sensible = [count for count in counts if FEWEST <= count <= MOST]
    return min(sensible, key=lambda count: abs(count - WANTED), default=None)
