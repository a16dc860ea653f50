"""How a folder's images are decoded: chosen by what the images are, unless the options say it."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...decode import Decoding
from ...white_level import common_white_level
from ..source import LoadOptions
from .divisible import divisible_size
from .listing import Listing

MAX_SIDE = 224
SAME_SHAPE = 1.05  # aspect ratios that differ by less are one shape
ONE_SHAPE = 0.95  # share of the images that have to be of it
MOST_OBLONG = 16.0  # aspect ratio of a model; longer strips are cut to squares
NOTED_LOSS = 0.03  # share of an average image that is cut away without a word


@dataclass(frozen=True)
class Shapes:
    """The sizes of the images, and what they have in common.

    Attributes:
        heights: of the images in pixels.
        widths: of the images in pixels.
    """

    heights: np.ndarray
    widths: np.ndarray

    @classmethod
    def of(cls, listings: Sequence[Listing]) -> "Shapes":
        """Return the shapes of the images of all splits."""
        sizes = np.array([size for listing in listings for size in listing.sizes], np.float64)
        return cls(sizes[:, 1], sizes[:, 0])

    @property
    def typical(self) -> tuple[int, int]:
        """The median (height, width); exact where all images have one size."""
        return int(np.median(self.heights)), int(np.median(self.widths))

    @property
    def are_equal(self) -> bool:
        """Whether all images have one size."""
        return bool(np.ptp(self.heights) == 0 and np.ptp(self.widths) == 0)

    @property
    def are_alike(self) -> bool:
        """Whether nearly all images have the aspect ratio of a typical one."""
        near = self._kept(*self.typical) > 1 / SAME_SHAPE
        return bool(np.mean(near) >= ONE_SHAPE)

    def cut_away(self, height: int, width: int) -> float:
        """Return the share of an average image that a crop to this shape cuts away."""
        return 1 - float(np.mean(self._kept(height, width)))

    def _kept(self, height: int, width: int) -> np.ndarray:
        """Return the share of each image that is left by a crop to this shape."""
        ratios = (self.widths / self.heights) / (width / height)
        return np.minimum(ratios, 1 / ratios)

    def __str__(self) -> str:
        if self.are_equal:
            return f"all images are {_times(*self.typical)} (height×width)"
        return "images differ in size" if self.are_alike else "images differ in shape"


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
    shapes = Shapes.of(listings)
    size = options.image_size or _choose_size(shapes, options)
    height, width = size if isinstance(size, tuple) else (size, size)
    gray = all(listing.gray for listing in listings)
    channels = options.channels or (1 if gray else 3)
    white_level, levels_notes = _choose_white_level(listings, options)
    decoding = Decoding(height, width, channels, options.fit, white_level)
    notes = [] if options.image_size else _size_notes(shapes, decoding, options.resize_size)
    notes += _crop_notes(shapes, decoding, options.resize_size) + _content_notes(listings)
    return decoding, notes + levels_notes + color_notes(listings, decoding)


def given_notes(listings: Sequence[Listing], decoding: Decoding) -> list[str]:
    """Say what it costs to read images in a way that was chosen for others, as a run's is."""
    cut = _cut_away(Shapes.of(listings), decoding)
    return [*(f"{note}, as the run reads images" for note in cut), *color_notes(listings, decoding)]


def color_notes(listings: Sequence[Listing], decoding: Decoding) -> list[str]:
    """Say whether images are read in other channels than they have."""
    gray = all(listing.gray for listing in listings)
    if gray and decoding.channels == 3:
        return ["gray images are read as RGB: the model takes 3 channels"]
    if not gray and decoding.channels == 1:
        return ["color images are read as gray ones: the model takes 1 channel"]
    return []


def _choose_white_level(
    listings: Sequence[Listing], options: LoadOptions
) -> tuple[float | None, list[str]]:
    if options.white_level:
        return options.white_level, []
    return common_white_level([path for listing in listings for path in listing.deep])


def _content_notes(listings: Sequence[Listing]) -> list[str]:
    """Say which files hold another format than they are named."""
    misnamed = sum((listing.misnamed for listing in listings), Counter[str]())
    return [
        f"{count:,} files {odd}: read as what they hold" for odd, count in sorted(misnamed.items())
    ]


def _choose_size(shapes: Shapes, options: LoadOptions) -> tuple[int, int]:
    """Return (height, width): of the images' own shape where nearly all share one, else square.

    The area is at most about that of a square of 224 pixels, or of `largest_side`, and patches
    divide the sides. A model that resizes images itself takes squares.
    """
    resize_size, area = options.resize_size, (options.largest_side or MAX_SIDE) ** 2
    height, width = shapes.typical
    oblong = max(height, width) / min(height, width)
    if shapes.are_alike and SAME_SHAPE < oblong <= MOST_OBLONG and not resize_size:
        return divisible_size(height, width, area)
    side = _square_side(shapes)
    if resize_size:
        return (min(side, resize_size),) * 2
    return divisible_size(side, side, area)


def _square_side(shapes: Shapes) -> int:
    """Return the side of all images, or where they differ the median shorter one."""
    shorter = np.minimum(shapes.heights, shapes.widths)
    if shapes.are_equal and np.array_equal(shapes.heights, shapes.widths):
        return int(shorter[0])
    return max(round(float(np.median(shorter)) / 4) * 4, 4)


def _size_notes(shapes: Shapes, decoding: Decoding, resize_size: int | None) -> list[str]:
    """Say what size was chosen, unless it is that of all images and square."""
    size = decoding.height, decoding.width
    chosen = [] if size == shapes.typical and shapes.are_equal else [_resized(shapes, *size)]
    if decoding.height != decoding.width:
        chosen.append("the model is not square")
    if chosen and shapes.are_equal and size != shapes.typical and not resize_size:
        chosen.append("--image-size chooses another size")
    return [f"{shapes}: {'; '.join(chosen)}"] if chosen else []


def _resized(shapes: Shapes, height: int, width: int) -> str:
    enlarged = height * width > math.prod(shapes.typical)
    return f"they are {'enlarged' if enlarged else 'resized'} to {_times(height, width)}"


def _crop_notes(shapes: Shapes, decoding: Decoding, resize_size: int | None) -> list[str]:
    """Say what cropping costs, where that is more than a little."""
    height, width = decoding.height, decoding.width
    notes = [f"{cut}; --fit pad or stretch keeps all" for cut in _cut_away(shapes, decoding)]
    if resize_size and (loss := 1 - min(height, width) / max(height, width)):
        notes.append(
            f"data.resize_size: the model takes the center square of images of"
            f" {_times(height, width)}, {_percent(loss)} is cut away; without it the model is not"
            " square"
        )
    return notes


def _cut_away(shapes: Shapes, decoding: Decoding) -> list[str]:
    height, width = decoding.height, decoding.width
    loss = shapes.cut_away(height, width) if decoding.fit == "crop" else 0.0
    if loss < NOTED_LOSS:
        return []
    part = "square" if height == width else f"in the shape of {_times(height, width)}"
    return [
        f"{shapes}: the center {part} is used, {_percent(loss)} of an average image is cut away"
    ]


def _percent(share: float) -> str:
    return f"{min(round(100 * share), 99)} %"


def _times(height: int, width: int) -> str:
    return f"{height}×{width}"
