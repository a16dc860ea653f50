"""Decode one image file to uint8 pixels; refuse what is damaged, too large or not an image.

Images are resized here by Pillow, and elsewhere by three other pieces of code; docs/adr/0003 says
why one of them cannot do the work of all.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import DataError, file_problem

if TYPE_CHECKING:
    from ..config import DataSettings

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff",
                      ".ppm", ".pgm"))  # fmt: skip
MAX_PIXELS = 64_000_000
GRAY_MODES = frozenset(("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F"))
EXIF_ORIENTATION = 0x0112
QUARTER_TURNS = 5  # the orientations from this one on swap width and height

ImageSource = str | Path | IO[bytes]  # a path, or a file's content as a binary stream


Fit = Literal["crop", "pad", "stretch"]


@dataclass(frozen=True)
class Decoding:
    """How an image file becomes pixels: the same in training, predict, evaluate and serve.

    Attributes:
        height: of the result, in pixels.
        width: of the result, in pixels.
        channels: of the result: 1 for gray, 3 for RGB.
        fit: what becomes of an image of another aspect ratio.
        white_level: the level of 16-bit and float images that is white; None: judged by each file.
        max_pixels: most pixels of a file, width times height, that are accepted.
    """

    height: int
    width: int
    channels: int
    fit: Fit = "crop"
    white_level: float | None = None
    max_pixels: int = MAX_PIXELS

    @classmethod
    def of(cls, data: DataSettings, shape: Sequence[int]) -> Decoding:
        """Return how the images of these settings are decoded to (height, width, channels)."""
        height, width, channels = shape
        return cls(height, width, channels, data.fit, data.white_level)


class ImageFacts(NamedTuple):
    """What an image file says about itself without being decoded.

    Attributes:
        size: (width, height) in pixels, turned upright.
        gray: whether it has no colors.
        frames: 1, or more if it is animated.
    """

    size: tuple[int, int]
    gray: bool
    frames: int


def open_image(path: ImageSource, name: object = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open an image file without decoding it.

    Args:
        path: the file, or its content as a binary stream.
        name: of the file in errors; default the path.
        max_pixels: most pixels, width times height, that are accepted.

    Raises:
        DataError: it cannot be read, is none of `FORMATS`, or has too many pixels.
    """
    name = name or path
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        raise DataError(
            f"{name}: not an image in one of the formats {', '.join(FORMATS)}"
        ) from None
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {file_problem(error)}") from None
    except Exception as error:
        raise DataError(f"{name}: damaged image: {error}") from None
    if image.width * image.height > max_pixels:
        raise DataError(
            f"{name}: {image.width}×{image.height} pixels, at most {max_pixels:,} are read"
        )
    return image


def describe(path: str | Path) -> ImageFacts:
    """Return size, color and number of frames of an image file, without decoding it.

    Raises:
        DataError: the file cannot be read or is damaged.
    """
    with open_image(path) as image, _damage_as_data_error(path):
        width, height = image.size
        if image.getexif().get(EXIF_ORIENTATION, 1) >= QUARTER_TURNS:
            width, height = height, width
        return ImageFacts((width, height), image.mode in GRAY_MODES, getattr(image, "n_frames", 1))


@contextmanager
def _damage_as_data_error(name: object) -> Iterator[None]:
    """Raise a DataError for whatever Pillow raises on a damaged file, which is almost anything."""
    try:
        yield
    except Exception as error:
        raise DataError(f"{name}: damaged image: {error}") from None


def decode(path: ImageSource, decoding: Decoding, name: object = None) -> np.ndarray:
    """Decode an image file: EXIF turned upright, transparency on black, resized and cropped.

    Args:
        path: the file, or its content as a binary stream; only its first frame is read.
        decoding: how; an image is scaled to cover its size, then the center is cropped.
        name: of the file in errors; default the path.

    Returns:
        uint8 `(height, width, channels)`.

    Raises:
        DataError: the file cannot be read or is damaged.
    """
    size = decoding.width, decoding.height
    opened = open_image(path, name, decoding.max_pixels)
    with opened as image, _damage_as_data_error(name or path):
        upright = ImageOps.exif_transpose(image)
        flat = _eight_bit(upright).convert("L" if decoding.channels == 1 else "RGB")
    if flat.size != size:
        flat = ImageOps.fit(flat, size, Image.Resampling.BILINEAR)
    return np.asarray(flat, np.uint8).reshape(decoding.height, decoding.width, -1)


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit and float images to 8 bits; lay transparent ones on black."""
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled_to_eight_bit(image)
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, image)
    return image


def _scaled_to_eight_bit(image: Image.Image) -> Image.Image:
    """Scale levels so that 255 is white.

    Of the mode `I;16` white is 65,535; the other modes show only by their largest value whether it
    is 1, 255 or 65,535.
    """
    pixels = np.asarray(image, np.float64)
    if not np.isfinite(pixels).all():
        raise ValueError("it has pixels that are not finite numbers (NaN or infinite)")
    white = 65_535.0
    if not image.mode.startswith("I;16"):
        white = next((level for level in (1.0, 255.0) if pixels.max() <= level), white)
    return Image.fromarray((pixels.clip(0, white) * (255 / white)).astype(np.uint8))


def is_image(path: str | Path) -> bool:
    """Return whether the file's name ends like an image's."""
    return Path(path).suffix.lower() in SUFFIXES
