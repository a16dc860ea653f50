"""NumPy's .npz files, checked before an array in them is read."""

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from .regular import check_regular
from .zip_directory import check_directory

SUFFIX = ".npy"
# What a file may unpack to: weights and pixels shrink little, zeros a thousandfold.
BYTES_PER_BYTE = 20
HEADROOM = 16_000_000


def read_arrays(path: str | Path, most_bytes: int | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file by their names; nothing is unpickled.

    Args:
        path: the file.
        most_bytes: that it may unpack to; by default a multiple of its own size.

    Raises:
        ValueError: it is no .npz file, damaged, holds a pickled object, or would unpack to much
            more than its size.
        OSError: it cannot be opened.
    """
    check_regular(path)
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError("damaged, or no .npz file")
        try:
            check_directory(file)
            return _read_all(file, most_bytes)
        except (zipfile.BadZipFile, EOFError, KeyError, RuntimeError, zlib.error) as error:
            raise ValueError(f"damaged: {error}") from None


def _read_all(file: IO[bytes], most_bytes: int | None) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        _check_size(archive, most_bytes or BYTES_PER_BYTE * file.seek(0, 2) + HEADROOM)
        return {
            info.filename.removesuffix(SUFFIX): _read(archive, info) for info in archive.infolist()
        }


def _check_size(archive: zipfile.ZipFile, most: int) -> None:
    names = archive.namelist()
    if len(set(names)) < len(names):
        raise ValueError("damaged: it holds an array twice")
    unpacked = sum(info.file_size for info in archive.infolist())
    if unpacked > most:
        raise ValueError(f"it would unpack to {unpacked:,} bytes, at most {most:,} are read")


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(info) as member:
        _check_header(member, info)
    with archive.open(info) as member:
        array = np.lib.format.read_array(member, allow_pickle=False)
        rest = member.read()  # to the end, where the checksum is compared
    if rest:
        raise ValueError(f"damaged: {info.filename} has bytes after its array")
    return np.asarray(array)


def _check_header(member: IO[bytes], info: zipfile.ZipInfo) -> None:
    """Refuse pickled objects, and shapes larger than the member, before memory is allocated."""
    try:
        version = np.lib.format.read_magic(member)
        shape, _, dtype = _READ_HEADER[version](member)
    except Exception as error:  # NumPy parses it as Python's literals, which fail in many kinds
        raise ValueError(f"damaged: {info.filename} is no array: {error}") from None
    if dtype.hasobject:
        raise ValueError("it holds a pickled object, which could run code; expected arrays only")
    if math.prod(shape) * dtype.itemsize > info.file_size:
        raise ValueError(f"damaged: {info.filename} has fewer bytes than its shape {shape} needs")


_READ_HEADER: dict[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
