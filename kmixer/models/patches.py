"""The patches that settings leave open, chosen by the size of the images; imports no Keras."""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..errors import SettingsError

WANTED = 7  # patches along a side
FEWEST, MOST = 4, 14  # along a side, where there is a choice
MOST_TOKENS = 1024  # of images whose sides leave no choice


class Patches(NamedTuple):
    """Square patches: their side in pixels, and the pixels between the starts of neighbors."""

    size: int
    stride: int

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Return (rows, columns) of the patches of an image."""
        return (height - self.size) // self.stride + 1, (width - self.size) // self.stride + 1

    def along_a_side(self, height: int, width: int) -> float:
        """Return how many lie along a side; of an oblong image, the geometric mean of the two."""
        return math.sqrt(math.prod(self.grid(height, width)))


def border_pixels(side: int, size: int, stride: int, border: str) -> tuple[int, int]:
    """Return how many pixels a side gets before and behind, so that patches end at its edges.

    Args:
        side: pixels.
        size: side of a patch in pixels.
        stride: pixels between the starts of neighboring patches.
        border: `drop`: those behind the last patch go, so the number is negative; `pad`: as many
            as another patch needs are added, half of them before; `refuse`: none.

    Example:
        >>> border_pixels(28, 14, 4, "drop"), border_pixels(28, 14, 5, "pad")
        ((0, -2), (0, 1))
    """
    over = (side - size) % stride if side >= size else 0
    if border == "drop":
        return 0, -over
    missing = -over % stride if border == "pad" else 0
    return missing // 2, missing - missing // 2


def default_patches(height: int, width: int) -> Patches:
    """Return patches that cover an image exactly, about seven of them along a side.

    They are cut side by side where a divisor of both sides gives from 4 to 14 along a side (of an
    oblong image: from 16 to 196 in all), and overlap as little as possible where none does, as on
    sides that are prime numbers.

    Args:
        height: of the images in pixels.
        width: of the images in pixels.

    Raises:
        SettingsError: there are none, as of 101×64 pixels.

    Example:
        >>> default_patches(224, 224), default_patches(64, 256)
        (Patches(size=32, stride=32), Patches(size=16, stride=16))
        >>> default_patches(97, 97)
        Patches(size=17, stride=16)
    """

    def distance(patches: Patches) -> float:
        return abs(patches.along_a_side(height, width) - WANTED)

    def cost(patches: Patches) -> float:
        return distance(patches) / WANTED + patches.size / patches.stride

    divisors = list(_divisors(height, width))
    if sensible := _sensible(divisors, height, width):
        return min(sensible, key=distance)
    if sensible := _sensible(_overlapping(height, width), height, width):
        return min(sensible, key=cost)
    if min(height, width) < FEWEST and height * width <= MOST_TOKENS:
        return min(divisors, key=distance)  # of so few pixels, each is a token
    raise SettingsError(
        f"model.patch_size: no square patches divide images of {height}×{width} pixels into a"
        " sensible number of tokens; give a data.image_size whose sides have a larger common"
        " divisor, such as 64x96"
    )


def _sensible(patches: Iterable[Patches], height: int, width: int) -> list[Patches]:
    """Return those that are neither too few nor too many."""
    return [p for p in patches if FEWEST <= p.along_a_side(height, width) <= MOST]


def _divisors(height: int, width: int) -> Iterator[Patches]:
    """Yield the patches that lie side by side and end at both edges, the smallest first."""
    common = math.gcd(height, width)
    counts = range(min(common, MOST_TOKENS), 0, -1)
    return (Patches(common // n, common // n) for n in counts if common % n == 0)


def _overlapping(height: int, width: int) -> Iterator[Patches]:
    """Yield, for each stride, the smallest patches that leave no gap and end at both edges."""
    for stride in range(1, min(height, width) + 1):
        size = stride + height % stride
        if height % stride == width % stride and size <= min(height, width):
            yield Patches(size, stride)
