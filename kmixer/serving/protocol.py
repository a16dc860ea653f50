"""Read TensorFlow Serving's REST requests: JSON and image files → pixels."""

import base64
import binascii
import io
import json
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any, NoReturn

import numpy as np

from ..data.decode import Decoding, decode
from ..errors import DataError, few, one_line
from ..files.text import data_address

INPUT = "images"
MAX_PIXELS = 50_000_000  # of an image file; a phone's photo has up to 50 million or so
MAX_VALUES = 2_000_000  # of a request in JSON: parsing it takes half a second, in which all wait
MAX_SECONDS = 20  # of the processor, for a request's images; those that cameras write need a few

ImageShape = tuple[int, int, int]


def read_body(body: bytes, decoding: Decoding, max_images: int) -> tuple[np.ndarray, str]:
    """Return the images of a predict request.

    Args:
        body: bytes of a JSON object with `instances` (rows) or `inputs` (columns); an image is
            `{"b64": …}`, a file in base64, or whole numbers 0..255 `(height, width, channels)`.
        decoding: how the model's training images were decoded, and the most pixels of a file.
        max_images: images that one request may hold.

    Returns:
        (uint8 `(n, height, width, channels)`, the key of the answer: `predictions` or `outputs`).

    Raises:
        DataError: the body is not such a request.
    """
    request = _json(body)
    if not isinstance(request, dict):
        raise DataError(f"expected a JSON object, received {_kind(request)}")
    for key, answer in (("instances", "predictions"), ("inputs", "outputs")):
        if key in request:
            items = request[key]
            if isinstance(items, dict) and set(items) == {INPUT}:
                items = items[INPUT]
            if not isinstance(items, list) or not items:
                raise DataError(f"{key}: expected a list of one image or more")
            if len(items) > max_images:
                raise DataError(
                    f"{key}: received {len(items):,} images, expected at most {max_images:,}"
                )
            return np.stack(list(_images(items, decoding))), answer
    received = few([repr(key[:50]) for key in islice(request, 5)]) or "nothing"
    raise DataError(f"expected 'instances' or 'inputs', received {received}")


def read_file(content: bytes, decoding: Decoding, invert: bool = False) -> np.ndarray:
    """Return an image file's bytes as uint8 `(height, width, channels)`, as in training.

    Raises:
        DataError: it is not an image, or of a kind that is not read.
    """
    pixels = decode(io.BytesIO(content), decoding, "image")
    return 255 - pixels if invert else pixels


def as_png(pixels: np.ndarray) -> str:
    """Return pixels `(height, width, channels)` as a data URL."""
    from PIL import Image

    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return data_address("image/png", buffer.getvalue())


def _json(body: bytes) -> Any:
    values = body.count(b",") + 1
    if values > MAX_VALUES:
        raise DataError(
            f"received some {values:,} numbers, expected at most {MAX_VALUES:,}; send fewer images"
            " at once, or image files: {'b64': …}"
        )
    try:
        return json.loads(body, parse_constant=lambda name: _refuse(f"{name} is no JSON"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON: {one_line(error)}") from None


def _refuse(message: str) -> NoReturn:
    raise ValueError(message)


def _images(items: list[Any], decoding: Decoding) -> Iterator[np.ndarray]:
    """Yield the pixels of images, unless they keep this thread busy for too long together."""
    begin = time.thread_time()
    for index, item in enumerate(items):
        if (seconds := time.thread_time() - begin) > MAX_SECONDS:
            raise DataError(
                f"instance {index}: the images before it took {seconds:.0f} seconds of the"
                f" processor, expected at most {MAX_SECONDS} in a request; send fewer at once"
            )
        yield _image(item, index, decoding)


def _image(item: Any, index: int, decoding: Decoding) -> np.ndarray:
    if isinstance(item, dict) and set(item) == {INPUT}:
        item = item[INPUT]
    where = f"instance {index}"
    if isinstance(item, dict) and set(item) == {"b64"}:
        try:
            content = base64.b64decode(item["b64"], validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise DataError(f"{where}: b64: {one_line(error)}") from None
        try:
            return read_file(content, decoding)
        except DataError as error:
            raise DataError(f"{where}: {error}") from None
    return _pixels(item, where, (decoding.height, decoding.width, decoding.channels))


def _pixels(item: Any, where: str, shape: ImageShape) -> np.ndarray:
    expected = "×".join(map(str, shape))
    try:
        cells = np.array(item, dtype=object)  # takes no more memory than what was sent
    except (ValueError, RecursionError):
        raise DataError(f"{where}: rows of unequal length, expected {expected}") from None
    if cells.shape == tuple(shape[:2]) and shape[2] == 1:
        cells = cells[..., None]
    if cells.shape != tuple(shape):
        received = "×".join(map(str, cells.shape)) or _kind(item)
        raise DataError(f"{where}: received {received}, expected {expected} or {{'b64': …}}")
    if not all(type(cell) is int and 0 <= cell <= 255 for cell in cells.flat):
        raise DataError(f"{where}: expected whole numbers 0 to 255")
    return cells.astype(np.uint8)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "a truth value",
             type(None): "null"}  # fmt: skip
    return names.get(type(value), "a number")
