"""Which pixels of an image each token's patch covers; imports no Keras."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .patches import border_pixels

Stage = tuple[int, int]  # patch size and stride, in pixels or in tokens of the stage before
Range = tuple[int, int]  # the first pixel of a side, and the one behind the last


@dataclass(frozen=True)
class TokenAreas:
    """The grid of a model's tokens on its image; patches lie side by side or overlap.

    Attributes:
        rows: the pixels that each row of tokens covers, of the image's height.
        columns: those that each column covers, of its width.
        height: of the image in pixels.
        width: of the image in pixels.
    """

    rows: tuple[Range, ...]
    columns: tuple[Range, ...]
    height: int
    width: int

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of the tokens."""
        return len(self.rows), len(self.columns)

    def spread(self, parts: np.ndarray) -> np.ndarray:
        """Spread each token's number evenly over the pixels of its patch.

        The sum stays, but for patches that lie in a padded border alone: they have no pixel.

        Args:
            parts: `(…, rows, columns)`.

        Returns:
            float64 `(…, height, width)`.
        """
        rows, columns = _shares(self.rows, self.height), _shares(self.columns, self.width)
        return rows.T @ parts @ columns


def token_areas(
    height: int, width: int, stages: Sequence[Stage], border: str = "refuse"
) -> TokenAreas:
    """Return where the tokens of the last stage lie on an image.

    Args:
        height: of the image in pixels.
        width: of the image in pixels.
        stages: of patches, the first of pixels, each later one of the tokens before it.
        border: see `border_pixels`; of the first stage.

    Example:
        >>> token_areas(8, 8, [(4, 2), (2, 1)]).rows
        ((0, 6), (2, 8))
    """
    rows, columns = (_ranges(side, stages, border) for side in (height, width))
    return TokenAreas(rows, columns, height, width)


def _ranges(side: int, stages: Sequence[Stage], border: str) -> tuple[Range, ...]:
    before, after = border_pixels(side, *stages[0], border)
    count, field, step = side + before + after, 1, 1
    for size, stride in stages:
        count, field, step = (count - size) // stride + 1, field + (size - 1) * step, step * stride
    starts = (index * step - before for index in range(count))
    return tuple((min(max(start, 0), side), max(min(start + field, side), 0)) for start in starts)


def _shares(ranges: Sequence[Range], side: int) -> np.ndarray:
    """Return `(tokens, side)`: in each row one, divided among a token's pixels."""
    shares = np.zeros((len(ranges), side))
    for row, (first, end) in zip(shares, ranges, strict=True):
        row[first:end] = 1 / max(end - first, 1)
    return shares
