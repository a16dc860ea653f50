"""Image files or pixels → class probabilities."""

import glob
import os
import stat
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from .datasets.decode import decode, is_image
from .errors import DataError

BATCH = 256  # files that are decoded and answered together


@dataclass(frozen=True)
class Answer:
    """What a model says of an image file.

    Attributes:
        path: the file.
        probabilities: float `(classes,)`, or None where the file could not be read.
        error: why it could not be read, or None.
    """

    path: Path
    probabilities: np.ndarray | None = None
    error: str | None = None

    def top(self, class_names, count):
        """Return the `count` most probable classes as (name, probability), the best first."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(class_names[index], float(self.probabilities[index])) for index in order]


def find_images(patterns):
    """Return the image files that are meant by files, folders and glob patterns, each once.

    Args:
        patterns: a file counts whatever its name; of a folder and below it, files that are named
            like images; of a pattern (`*`, `?`, `[…]`, `**`), what it matches.

    Raises:
        DataError: one of them stands for no image.
    """
    found = {}
    for pattern in map(str, patterns):
        files = _matches(pattern)
        if not files:
            raise DataError(f"{pattern}: no image file, no folder with images, no pattern of any")
        found |= dict.fromkeys(files)
    return list(found)


def _matches(pattern):
    path = Path(pattern)
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except OSError:  # such as a name that is too long
        return [path]
    if is_folder:
        walk = os.walk(path, onerror=_refuse)
        return sorted(
            Path(root) / name for root, _, names in walk for name in names if is_image(name)
        )
    if is_there or not glob.has_magic(pattern):
        return [path]  # whatever is wrong with it is told where it is read
    matched = sorted(map(Path, glob.glob(pattern, recursive=True)))
    return [
        file for match in matched for file in (_matches(str(match)) if match.is_dir() else [match])
    ]


def _refuse(error):
    raise DataError(f"{error.filename}: cannot be read: {error.strerror}")


def read_images(paths, shape, invert=False):
    """Decode image files as a model takes them, side by side.

    Args:
        paths: the files.
        shape: (height, width, channels) that the model was trained on.
        invert: turn black into white, for dark strokes on light paper.

    Returns:
        A list with a uint8 array of that shape, or a DataError, for each file.
    """
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda path: _read(path, shape, invert), paths))


def _read(path, shape, invert):
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return DataError(f"{path}: not a file")  # a pipe would be waited for
        pixels = decode(path, tuple(shape[:2]), grey=shape[2] == 1)
    except OSError as error:
        return DataError(f"{path}: cannot be read: {error.strerror}")
    except DataError as error:
        return error
    return 255 - pixels if invert else pixels


def answers(model, paths, shape, *, invert=False, strict=False):
    """Ask a model about image files; yield one `Answer` a file, in order.

    Args:
        model: a function of uint8 `(n, height, width, channels)` → probabilities `(n, classes)`.
        paths: the files; so many are never decoded at once that memory would matter.
        shape: see `read_images`.
        invert: see `read_images`.
        strict: raise for the first file that cannot be read, instead of answering with its error.

    Raises:
        DataError: with `strict`, a file cannot be read.
    """
    remaining = iter(paths)
    while batch := list(islice(remaining, BATCH)):
        read = read_images(batch, shape, invert)
        if strict:
            read = [_raising(item) for item in read]
        pixels = [item for item in read if not isinstance(item, DataError)]
        said = deque(model(np.stack(pixels)) if pixels else ())
        for path, item in zip(batch, read, strict=True):
            if not isinstance(item, DataError):
                yield Answer(path, said.popleft())
            else:
                yield Answer(path, error=str(item))


def as_pixels(images, shape):
    """Return uint8 `(n, *shape)` of what a user has: an array, one image, or paths.

    Raises:
        DataError: the array is not of this shape, or a file cannot be read.
    """
    if isinstance(images, str | Path):
        images = [images]
    if isinstance(images, list | tuple) and images and isinstance(images[0], str | Path):
        return np.stack([_raising(item) for item in read_images(images, shape)])
    try:
        pixels = np.asarray(images)
    except ValueError as error:
        raise DataError(f"images: {error}; expected uint8 (n, …) or paths") from None
    pixels = pixels[None] if pixels.shape == tuple(shape) else pixels
    if pixels.dtype != np.uint8 or pixels.shape[1:] != tuple(shape) or not len(pixels):
        wanted = ", ".join(map(str, shape))
        raise DataError(
            f"images: received {pixels.dtype} {pixels.shape}, expected uint8 (n, {wanted}) or paths"
        )
    return pixels


def _raising(item):
    if isinstance(item, DataError):
        raise item
    return item


def probabilities(model, images, watchers=()):
    """Run a Keras model of logits over images.

    Args:
        model: uint8 images → logits.
        images: uint8 `(n, height, width, channels)`.
        watchers: Keras callbacks, such as a progress display.

    Returns:
        float64 `(n, classes)`; each row sums to 1.
    """
    from .pipeline import even_batch_size

    batch_size = even_batch_size(len(images))
    logits = model.predict(images, batch_size=batch_size, verbose=0, callbacks=list(watchers))
    logits = logits.astype(np.float64)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
