"""One image file → uint8 pixels; what is converted, what is refused."""

import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import DataError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff",
                      ".ppm", ".pgm"))  # fmt: skip
MAX_PIXELS = 64_000_000
GREY_MODES = frozenset(("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F"))


def open_image(path, called=None, most=MAX_PIXELS):
    """Open an image file without decoding it.

    Args:
        path: the file, or its content as a binary stream.
        called: what errors call it; default the path.
        most: pixels that are read.

    Raises:
        DataError: it cannot be read, is none of `FORMATS`, or has too many pixels.
    """
    called = called or path
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        raise DataError(
            f"{called}: not an image in one of the formats {', '.join(FORMATS)}"
        ) from None
    except OSError as error:
        raise DataError(f"{called}: cannot be read: {error.strerror or error}") from None
    except Exception as error:
        raise DataError(f"{called}: damaged image: {error}") from None
    if image.width * image.height > most:
        raise DataError(f"{called}: {image.width}×{image.height} pixels, at most {most:,} are read")
    return image


def describe(path):
    """Return ((width, height) as shown, is grey, frames) of an image file, undecoded."""
    with open_image(path) as image, _refusing_damage(path):
        size = image.size
        if image.getexif().get(0x0112, 1) >= 5:  # the EXIF orientations that turn by a quarter
            size = size[::-1]
        return size, image.mode in GREY_MODES, getattr(image, "n_frames", 1)


@contextmanager
def _refusing_damage(called):
    """Turn whatever Pillow raises on a damaged file, which is almost anything, into a DataError."""
    try:
        yield
    except Exception as error:
        raise DataError(f"{called}: damaged image: {error}") from None


def decode(path, size, grey, called=None, most=MAX_PIXELS):
    """Decode an image file: EXIF turned upright, transparency on black, resized and cropped.

    Args:
        path: the file, or its content as a binary stream; only its first frame is read.
        size: (height, width) in pixels; the image is scaled to cover it, then cropped to its
            centre.
        grey: one channel instead of three.
        called: what errors call it; default the path.
        most: pixels that are read.

    Returns:
        uint8 `(height, width, 1 or 3)`.

    Raises:
        DataError: the file cannot be read or is damaged.
    """
    with open_image(path, called, most) as image, _refusing_damage(called or path):
        upright = ImageOps.exif_transpose(image)
        flat = _eight_bit(upright).convert("L" if grey else "RGB")
    if flat.size != size[::-1]:
        flat = ImageOps.fit(flat, size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(flat, np.uint8).reshape(*size, -1)


def _eight_bit(image):
    """Scale 16-bit and float images to 8 bits; lay transparent ones on black."""
    if image.mode.startswith("I") or image.mode == "F":
        pixels = np.asarray(image, np.float64)
        if not np.isfinite(pixels).all():
            raise ValueError("it has pixels that are not finite numbers (NaN or infinite)")
        most = next((most for most in (1.0, 255.0) if pixels.max() <= most), 65_535.0)
        if image.mode.startswith("I;16"):
            most = 65_535.0  # the mode says so; the others only show it by their largest value
        return Image.fromarray((pixels.clip(0, most) * (255 / most)).astype(np.uint8))
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, image)
    return image


def is_image(path):
    """Say whether the file's name ends like an image's."""
    return Path(path).suffix.lower() in SUFFIXES
