"""Images that stay in a file: rows are read when they are asked for.

They are read with `pread` and not mapped into memory, because the pages of a mapped file that were
touched count as the process's memory; the system's cache of the file does not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Any

import numpy as np

from ..errors import DataError

BLOCK_BYTES = 32_000_000  # that a pass over all images reads at once


class PixelFile:
    """A file of bytes that several threads, and processes that fork, read at once.

    Args:
        descriptor: of the open file; it is closed with this object.
        name: of the file in errors.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self.name = name
        self._descriptor, self._lock = descriptor, Lock()

    def __del__(self) -> None:
        os.close(self._descriptor)

    def read_into(self, array: np.ndarray, start: int) -> None:
        """Fill a contiguous array with the bytes from `start` on.

        Raises:
            DataError: the file ends before, or cannot be read.
        """
        rest = array.reshape(-1).view(np.uint8).data
        try:
            while rest:
                read = self._read_at(rest, start)
                if not read:
                    raise DataError(f"{self.name}: cut short while it was in use; start again")
                rest, start = rest[read:], start + read
        except OSError as error:
            raise DataError(f"{self.name}: cannot be read: {error.strerror}") from None

    def _read_at(self, buffer: memoryview, start: int) -> int:
        if hasattr(os, "preadv"):  # it shares no position between threads and processes
            return os.preadv(self._descriptor, [buffer], start)
        with self._lock:
            os.lseek(self._descriptor, start, os.SEEK_SET)
            content = os.read(self._descriptor, len(buffer))
        buffer[: len(content)] = content
        return len(content)


class StoredImages:
    """Images in a file, to be used like a uint8 array `(n, height, width, channels)`.

    An index, a slice or an array of indices reads those images and returns them as an array; `take`
    reads nothing. `np.asarray` reads all of them.

    Args:
        file: holds the pixels, image after image, from its first byte on.
        shape: (height, width, channels).
        rows: int64 `(n,)`, which images of the file these are.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, file: PixelFile, shape: Sequence[int], rows: np.ndarray) -> None:
        self.file, self.rows = file, rows
        height, width, channels = shape
        self.shape = (len(rows), height, width, channels)
        self._bytes = height * width * channels  # of an image

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels, in the file."""
        return len(self.rows) * self._bytes

    def take(self, indices: np.ndarray | slice) -> StoredImages:
        """Return the images at `indices`, which stay in the file."""
        return StoredImages(self.file, self.shape[1:], self.rows[indices])

    def __getitem__(self, key: Any) -> np.ndarray:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if first is None or first is Ellipsis:
            return np.asarray(self)[key]
        rows = self.rows[first]
        if np.ndim(rows) == 0:
            return self._read(rows[None])[0][tuple(rest)]
        return self._read(rows)[(slice(None), *rest)]

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in blocks(self):
            yield from block

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("images in a file are read into a new array")
        return self._read(self.rows).astype(dtype or self.dtype, copy=False)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        """Read images, those that follow each other in the file at once."""
        images = np.empty((len(rows), *self.shape[1:]), np.uint8)
        ends = [*(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
        begin = 0
        for end in ends if len(rows) else ():
            self.file.read_into(images[begin:end], int(rows[begin]) * self._bytes)
            begin = end
        return images


Images = np.ndarray | StoredImages  # uint8 `(n, height, width, channels)`


def take(images: Images, indices: np.ndarray | slice) -> Images:
    """Return the images at `indices`: an array of an array; stored ones stay in their file."""
    return images.take(indices) if isinstance(images, StoredImages) else images[indices]


def join(parts: Sequence[Images]) -> Images:
    """Return the images of several arrays; stored ones stay in their file, if it is one file."""
    stored = [part for part in parts if isinstance(part, StoredImages)]
    if len(stored) == len(parts) and len({id(part.file) for part in stored}) == 1:
        rows = np.concatenate([part.rows for part in stored])
        return StoredImages(stored[0].file, stored[0].shape[1:], rows)
    return np.concatenate([np.asarray(part) for part in parts])


def blocks(images: Images, most: int = 1000) -> Iterator[np.ndarray]:
    """Yield the images in order, some at a time: up to `most`, and `BLOCK_BYTES`."""
    size = max(1, min(most, BLOCK_BYTES // max(int(np.prod(images.shape[1:])), 1)))
    for start in range(0, len(images), size):
        yield images[start : start + size]
