"""The file of a cache entry: pixels from its first byte on, then a footer that describes them."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from ...errors import DataError
from ...files.regular import check_regular
from ..progress import Progress
from ..stored_images import BLOCK_BYTES, PixelFile

MAGIC = b"kmixer cache v1\n"
DIGEST, LENGTH = 32, 8  # bytes
TAIL = DIGEST + LENGTH + len(MAGIC)  # after the footer's text: its digest, its length, MAGIC


class EntryWriter:
    """Write an entry's pixels, block after block, and its footer.

    Args:
        file: a binary file, open for writing at its beginning.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._size, self._checksum = file, 0, 0

    def write(self, pixels: np.ndarray) -> None:
        """Append a block of pixels."""
        content = np.ascontiguousarray(pixels).data.cast("B") if pixels.size else b""
        self._file.write(content)
        self._size += len(content)
        self._checksum = zlib.crc32(content, self._checksum)

    def finish(self, facts: dict[str, Any]) -> None:
        """Append the footer.

        Args:
            facts: about the entry, JSON-able.
        """
        footer = json.dumps(facts | {"bytes": self._size, "crc32": self._checksum}).encode()
        self._file.write(footer + sha256(footer).digest())
        self._file.write(struct.pack("<Q", len(footer)) + MAGIC)
        self._file.flush()


class Entry:
    """An entry's file, open for reading.

    Args:
        descriptor: of the open file; it is closed with this object.
        name: of the file in errors.

    Attributes:
        file: the `PixelFile`.
        facts: what was given to `EntryWriter.finish`.

    Raises:
        DataError: it is cut short, or its footer is damaged.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self.file = PixelFile(descriptor, name)
        size = os.fstat(descriptor).st_size
        self.facts = _read_footer(self.file, size)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the entry at `path`.

        Raises:
            DataError: see `Entry`.
            OSError: there is none, or it cannot be opened.
        """
        check_regular(path)
        return cls(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)), str(path))

    def read(self, progress: Progress | None = None) -> np.ndarray:
        """Return all pixels, uint8 `(bytes,)`.

        Raises:
            DataError: they are not what was written.
        """
        pixels = np.empty(self.facts["bytes"], np.uint8)
        self._read_and_check(lambda start, end: pixels[start:end], progress)
        return pixels

    def check(self, progress: Progress | None = None) -> None:
        """Compare all pixels with their checksum; they are not kept in memory.

        Raises:
            DataError: they are not what was written.
        """
        buffer = np.empty(BLOCK_BYTES, np.uint8)
        self._read_and_check(lambda start, end: buffer[: end - start], progress)

    def _read_and_check(
        self, place: Callable[[int, int], np.ndarray], progress: Progress | None
    ) -> None:
        size, checksum = self.facts["bytes"], 0
        for start in range(0, size, BLOCK_BYTES):
            end = min(start + BLOCK_BYTES, size)
            block = place(start, end)
            self.file.read_into(block, start)
            checksum = zlib.crc32(block.data, checksum)
            if progress:
                progress(end, size)
        if checksum != self.facts["crc32"]:
            raise DataError(f"{self.file.name}: damaged: its pixels are not what was written")


def _read_footer(file: PixelFile, size: int) -> dict[str, Any]:
    damaged = DataError(f"{file.name}: cut short or damaged")
    if size < TAIL:
        raise damaged
    tail = _read_bytes(file, size - TAIL, TAIL)
    (length,) = struct.unpack("<Q", tail[DIGEST : DIGEST + LENGTH])
    if tail[DIGEST + LENGTH :] != MAGIC or length > size - TAIL:
        raise damaged
    footer = _read_bytes(file, size - TAIL - length, length)
    if sha256(footer).digest() != tail[:DIGEST]:
        raise damaged
    facts: dict[str, Any] = json.loads(footer)
    if facts["bytes"] + length + TAIL != size:
        raise damaged
    return facts


def _read_bytes(file: PixelFile, start: int, length: int) -> bytes:
    content = np.empty(length, np.uint8)
    file.read_into(content, start)
    return content.tobytes()
