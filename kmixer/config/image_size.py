"""The size of images as people write it: `64`, `64x256`, `[64, 256]`."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

ImageSize = int | tuple[int, int]  # a side in pixels, or (height, width)

LONGEST_SIDE = 8_000  # pixels
EXPECTED = "a side such as 64, or HEIGHTxWIDTH such as 64x256"


def read_image_size(value: Any) -> ImageSize:
    """Return a side, or (height, width) where the two differ.

    Args:
        value: an int, two of them, or a text such as `"64"` or `"64x256"`.

    Raises:
        ValueError: it is none of these, or a side is longer than `LONGEST_SIDE`.

    Example:
        >>> read_image_size("64x256"), read_image_size([64, 64])
        ((64, 256), 64)
    """
    sides = _sides(value)
    if len(sides) not in (1, 2) or not all(type(side) is int and side > 0 for side in sides):
        raise ValueError(f"received {value!r}, expected {EXPECTED}")
    if max(sides) > LONGEST_SIDE:
        raise ValueError(f"received {value!r}, expected sides of at most {LONGEST_SIDE:,} pixels")
    height, width = sides[0], sides[-1]
    return height if height == width else (height, width)


def _sides(value: Any) -> tuple[Any, ...]:
    if isinstance(value, str):
        numbers = re.fullmatch(r"\s*([0-9]{1,10})(?:\s*[xX×]\s*([0-9]{1,10}))?\s*", value)
        return tuple(int(number) for number in numbers.groups() if number) if numbers else ()
    return tuple(value) if isinstance(value, list | tuple) else (value,)


Side = Annotated[int, Field(ge=1, le=LONGEST_SIDE, strict=True)]  # pixels

# A text means the same in YAML, on the command line and in Python.
ImageSizeField = Annotated[
    ImageSize | None,
    BeforeValidator(lambda value: None if value is None else read_image_size(value)),
]
