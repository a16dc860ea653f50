"""Image files and folders named by a user, as pixels."""

import glob
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ..errors import DataError
from .decode import decode, is_image


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


def as_pixels(images, shape):
    """Return uint8 `(n, *shape)` of what a user has: an array, one image, or paths.

    Raises:
        DataError: the array is not of this shape, or a file cannot be read.
    """
    if isinstance(images, str | Path):
        images = [images]
    if isinstance(images, list | tuple) and images and isinstance(images[0], str | Path):
        return np.stack([raise_if_error(item) for item in read_images(images, shape)])
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


def raise_if_error(item):
    """Return what `read_images` gave for a file, unless it is a DataError, which is raised."""
    if isinstance(item, DataError):
        raise item
    return item
