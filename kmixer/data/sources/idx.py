"""Read the IDX format of MNIST and its successors: a magic number, the shape, the bytes."""

import gzip
import math
import struct
import zlib
from hashlib import sha256
from importlib.resources.abc import Traversable

import numpy as np

from ...errors import DataError, file_problem


def read_idx(path: Traversable, checksum: str | None = None) -> np.ndarray:
    """Read a gzipped IDX file of unsigned bytes.

    Args:
        path: a `pathlib.Path` or an importlib.resources file.
        checksum: the SHA-256 of the uncompressed bytes, as hex.

    Returns:
        A read-only uint8 array of the shape that the file states.

    Raises:
        DataError: the file is missing or damaged, or its checksum differs.
    """
    content = _uncompress(path)
    if checksum is not None and sha256(content).hexdigest() != checksum:
        raise DataError(f"{path}: damaged: its SHA-256 is not {checksum[:12]}…; reinstall kmixer")
    return _parse(content, path)


def _uncompress(path: Traversable) -> bytes:
    try:
        return gzip.decompress(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {file_problem(error)}") from None
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged gzip: {error}") from None


def _parse(content: bytes, path: Traversable) -> np.ndarray:
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise DataError(f"{path}: not an IDX file of bytes: it begins with {content[:4].hex()!r}")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise DataError(f"{path}: damaged IDX file: it ends inside its header")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise DataError(
            f"{path}: damaged IDX file: its header {shape} needs {math.prod(shape)} bytes,"
            f" received {len(content) - start}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
