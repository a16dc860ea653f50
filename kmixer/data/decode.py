"""Decode one image file to uint8 pixels; refuse what is damaged, too large or not an image.

What the values of each kind of file mean is written in `levels`, `eight_bit` and `orientation`.
Images are resized here by Pillow, and elsewhere by three other pieces of code; docs/adr/0003 says
why one of them cannot do the work of all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import DataError, file_problem
from ..files.regular import check_regular
from . import image_formats, levels
from .eight_bit import to_eight_bit
from .image_formats import is_image, skip_reason
from .image_limits import CountedFile, TooMuchWorkError, check_work
from .orientation import QUARTER_TURNS, orientation, turn_upright
from .pillow_limits import PixelBudget, without_pillow_limits

if TYPE_CHECKING:
    from ..config import DataSettings

__all__ = ["Decoding", "Fit", "ImageFacts", "ImageSource", "decode", "describe", "is_image",
           "open_image", "read_levels", "skip_reason"]  # fmt: skip

MAX_PIXELS = 250_000_000  # a phone's photo has up to 200 million
GRAY_MODES = frozenset(("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F"))
STILL_FORMATS = frozenset(("MPO", "HEIF"))  # their other frames are views of the same photo
SPARE = 2  # a JPEG is decoded to at least this many times the size that it is resized to

ImageSource = str | Path | IO[bytes]  # a path, or a file's content as a binary stream

Fit = Literal["crop", "pad", "stretch"]

_budget = PixelBudget()  # of all threads


@dataclass(frozen=True)
class Decoding:
    """How an image file becomes pixels: the same in training, predict, evaluate and serve.

    Attributes:
        height: of the result, in pixels.
        width: of the result, in pixels.
        channels: of the result: 1 for gray, 3 for RGB.
        fit: what becomes of an image of another aspect ratio: `crop` scales it to cover the size
            and cuts off what is over, the center stays; `pad` scales it to lie within the size, and
            the rest is the median color of its border; `stretch` scales either side by itself.
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
        frames: 1, or 2 if it is animated or has several pages, of however many.
        format: as Pillow names it, such as "JPEG", whatever the file's name.
        deep: whether it has more than 8 bits a level.
    """

    size: tuple[int, int]
    gray: bool
    frames: int
    format: str = ""
    deep: bool = False


def open_image(path: ImageSource, name: object = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open an image file without decoding it; what it is says its content, not its name.

    Args:
        path: the file, or its content as a binary stream.
        name: of the file in errors; default the path.
        max_pixels: most pixels, width times height, that are accepted.

    Raises:
        DataError: it cannot be read, is none of `image_formats.FORMATS`, or has too many pixels.
    """
    name = name or path
    try:
        with without_pillow_limits():
            image = _open(path)
    except UnidentifiedImageError:
        raise DataError(f"{name}: {image_formats.describe_content(_head(path))}") from None
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {file_problem(error)}") from None
    except TooMuchWorkError as error:
        raise DataError(f"{name}: not read: {error}") from None
    except Exception as error:
        raise DataError(f"{name}: damaged image: {error}") from None
    if image.width * image.height > max_pixels:
        image.close()
        raise DataError(
            f"{name}: too large: {image.width}×{image.height} pixels, at most {max_pixels:,} are"
            " read (predict and serve: --max-pixels)"
        )
    return image


def _open(path: ImageSource) -> Image.Image:
    named = isinstance(path, str | Path)
    if isinstance(path, str | Path):
        check_regular(path)
        path = open(path, "rb")  # noqa: SIM115  closed when the image lets go of it
    file = CountedFile(path, owned=named)
    try:
        image = _open_any(file)
        file.expect(image.width * image.height)
        return image
    except BaseException:
        file.close()
        raise


def _open_any(file: Any) -> Image.Image:
    try:
        return Image.open(file, formats=image_formats.FORMATS)
    except UnidentifiedImageError:
        if not (image_formats.is_heic(_head(file)) and image_formats.reads_heic()):
            raise
    import pillow_heif

    pillow_heif.register_heif_opener()
    return Image.open(file, formats=("HEIF",))


def _head(path: ImageSource) -> bytes:
    if isinstance(path, str | Path):
        with open(path, "rb") as file:
            return file.read(image_formats.HEAD_BYTES)
    path.seek(0)
    head = path.read(image_formats.HEAD_BYTES)
    path.seek(0)
    return head


def describe(path: ImageSource, name: object = None) -> ImageFacts:
    """Return what an image file says about itself, without decoding it.

    Args:
        path: the file, or its content as a binary stream.
        name: of the file in errors; default the path.

    Raises:
        DataError: the file cannot be read or is damaged.
    """
    with _opened(path, name) as image:
        width, height = image.size
        if orientation(image) >= QUARTER_TURNS:
            width, height = height, width
        gray, deep, kind = image.mode in GRAY_MODES, levels.is_deep(image), image.format or ""
        return ImageFacts((width, height), gray, 1 + _has_frames(image), kind, deep)


def _has_frames(image: Image.Image) -> bool:
    """Return whether it has a second frame or page; counting them all may take minutes."""
    if image.format in STILL_FORMATS:
        return False
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # a later frame is damaged; the first is the one that is read
        return False


@contextmanager
def _opened(path: ImageSource, name: object, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Open an image file to read it, from its beginning; what is wrong with it is a DataError."""
    with (
        without_pillow_limits(),
        _reopen(path, name, max_pixels) as image,
        _damage_as_data_error(name or path),
    ):
        file = getattr(image, "fp", None)  # which Pillow leaves open, as it did not open it
        try:
            check_work(image)
            yield image
        finally:
            if file:
                file.close()


@contextmanager
def _damage_as_data_error(name: object) -> Iterator[None]:
    """Raise a DataError for whatever Pillow raises on a damaged file, which is almost anything."""
    try:
        yield
    except levels.LevelsError as error:
        raise DataError(f"{name}: {error}") from None
    except TooMuchWorkError as error:
        raise DataError(f"{name}: not read: {error}") from None
    except Exception as error:
        raise DataError(f"{name}: damaged image: {error}") from None


def read_levels(path: ImageSource, name: object = None) -> np.ndarray | None:
    """Return the levels of an image file with more than 8 bits, without alpha; None of others.

    Args:
        path: the file, or its content as a binary stream.
        name: of the file in errors; default the path.

    Raises:
        DataError: the file cannot be read or is damaged.
    """
    with _opened(path, name) as image, _budget.take(image.width * image.height):
        if not levels.is_deep(image):
            return None
        return levels.without_alpha(levels.read_levels(image, partial(_reopen, path, name)))


def _reopen(path: ImageSource, name: object = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    if not isinstance(path, str | Path):
        path.seek(0)
    return open_image(path, name, max_pixels)


def decode(path: ImageSource, decoding: Decoding, name: object = None) -> np.ndarray:
    """Decode an image file: upright, on a background, 8 bits a level, of the size asked for.

    Args:
        path: the file, or its content as a binary stream; only its first frame is read.
        decoding: how.
        name: of the file in errors; default the path.

    Returns:
        uint8 `(height, width, channels)`.

    Raises:
        DataError: the file cannot be read or is damaged.
    """
    reopen = partial(_reopen, path, name, decoding.max_pixels)
    with (
        _opened(path, name, decoding.max_pixels) as image,
        _budget.take(_shrink_on_decoding(image, decoding)),
    ):
        flat = to_eight_bit(image, decoding.channels, decoding.white_level, reopen)
        fitted = _fit(turn_upright(flat, orientation(image)), decoding)
    return np.asarray(fitted, np.uint8).reshape(decoding.height, decoding.width, -1)


def _shrink_on_decoding(image: Image.Image, decoding: Decoding) -> int:
    """Let a JPEG be decoded to a half, a quarter or an eighth, where that is still large enough.

    Returns:
        The pixels that decoding it holds in memory.
    """
    pixels = image.width * image.height
    width, height = decoding.width, decoding.height
    if orientation(image) >= QUARTER_TURNS:
        width, height = height, width
    image.draft(None, (SPARE * width, SPARE * height))
    if image.info.get("progressive"):  # its coefficients are all there before the first pixel
        return pixels
    return image.width * image.height


def _fit(image: Image.Image, decoding: Decoding) -> Image.Image:
    """Bring an image to the size, in the way that `decoding.fit` names."""
    size = decoding.width, decoding.height
    if image.size == size:
        return image
    if decoding.fit == "crop":
        return ImageOps.fit(image, size, Image.Resampling.BILINEAR)
    if decoding.fit == "stretch":
        return image.resize(size, Image.Resampling.BILINEAR)
    return _pad(image, size)


def _pad(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Scale an image to lie within the size; fill the rest with the median color of its border.

    A drawing on white stays on white, and a photo gets no hard black edges.
    """
    factor = min(size[0] / image.width, size[1] / image.height)
    inner = max(round(image.width * factor), 1), max(round(image.height * factor), 1)
    image = image.resize(inner, Image.Resampling.BILINEAR)
    padded = Image.new(image.mode, size, _border_color(image))
    padded.paste(image, ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
    return padded


def _border_color(image: Image.Image) -> tuple[int, ...]:
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    border = [pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]]
    return tuple(int(level) for level in np.median(np.concatenate(border), axis=0))
