"""Find the image files a user names, and read them as pixels."""

import glob
import os
import stat
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, file_problem
from .decode import Decoding, decode
from .image_formats import has_image_suffix


def find_images(patterns: Iterable[str | Path]) -> list[Path]:
    """Return the image files that files, folders and glob patterns name, without repetition.

    Args:
        patterns: a file is returned whatever its name; of a folder, all files in and below it that
            are named like images and not hidden; of a pattern (`*`, `?`, `[…]`, `**`), all that it
            matches.

    Raises:
        DataError: one of them names no image.
    """
    paths: dict[Path, None] = {}  # in order, without repetition
    for pattern in map(str, patterns):
        files = _matches(pattern)
        if not files:
            raise DataError(f"{pattern}: no image file, no folder with images, no pattern of any")
        paths |= dict.fromkeys(files)
    return list(paths)


def _matches(pattern: str) -> list[Path]:
    path = Path(pattern)
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError:  # such as a name that is too long
        return [path]
    if is_folder:
        walk = os.walk(path, onerror=_raise_unreadable)
        files = (Path(root) / name for root, _, names in walk for name in names)
        return sorted(
            file for file in files if has_image_suffix(file) and not _is_hidden(file, path)
        )
    if exists or not glob.has_magic(pattern):
        return [path]  # if it is missing or damaged, read_images reports it
    matches = _glob(path)
    return [
        file for match in matches for file in (_matches(str(match)) if match.is_dir() else [match])
    ]


def _glob(pattern: Path) -> list[Path]:
    """Return what a pattern matches, and nothing hidden that it does not name.

    As a folder's own files are found: `**` follows no link, of which two that lead back to their
    folder would be followed without end.
    """
    named = [part for part in pattern.parts if part.startswith(".")]

    def is_named(part: str) -> bool:
        return not part.startswith(".") or any(fnmatchcase(part, name) for name in named)

    try:
        matches = Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
        return sorted(match for match in matches if all(map(is_named, match.parts)))
    except (OSError, ValueError, NotImplementedError):  # no pattern: such as a** before 3.13
        return []


def _is_hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _raise_unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be read: {file_problem(error)}")


def read_images(
    paths: Iterable[str | Path], decoding: Decoding, invert: bool = False
) -> list[np.ndarray | DataError]:
    """Decode image files to the size that a model takes, several in parallel.

    Args:
        paths: the files.
        decoding: as the model's training images were decoded.
        invert: turn black into white, for dark strokes on light paper.

    Returns:
        For each file a uint8 array of that shape, or a DataError.
    """
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda path: _read(path, decoding, invert), paths))


def _read(path: str | Path, decoding: Decoding, invert: bool) -> np.ndarray | DataError:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return DataError(f"{path}: not a file")  # reading a pipe would block
        pixels = decode(path, decoding)
    except OSError as error:
        return DataError(f"{path}: cannot be read: {file_problem(error)}")
    except DataError as error:
        return error
    return 255 - pixels if invert else pixels


def as_pixels(images: Any, decoding: Decoding) -> np.ndarray:
    """Return uint8 `(n, height, width, channels)` of an array of images, one image, or paths.

    Raises:
        DataError: the array is not of this shape, or a file cannot be read.
    """
    if isinstance(images, str | Path):
        images = [images]
    if isinstance(images, list | tuple) and images and isinstance(images[0], str | Path):
        return np.stack([raise_if_error(result) for result in read_images(images, decoding)])
    shape = decoding.height, decoding.width, decoding.channels
    try:
        pixels = np.asarray(images)
    except ValueError as error:
        raise DataError(f"images: {error}; expected uint8 (n, …) or paths") from None
    pixels = pixels[None] if pixels.shape == shape else pixels
    if pixels.dtype != np.uint8 or pixels.shape[1:] != shape or not len(pixels):
        expected = ", ".join(map(str, shape))
        raise DataError(
            f"images: received {pixels.dtype} {pixels.shape}, expected uint8 (n, {expected}) or"
            " paths"
        )
    return pixels


def raise_if_error(result: np.ndarray | DataError) -> np.ndarray:
    """Return the pixels of a file that `read_images` could read; raise its error otherwise."""
    if isinstance(result, DataError):
        raise result
    return result
