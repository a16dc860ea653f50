"""Image files → blocks of pixels, several files at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ....errors import DataError
from ...decode import Decoding, decode
from ...progress import Progress

BLOCK_IMAGES, BLOCK_BYTES = 1024, 64_000_000  # that are decoded together, at most


class Decoder:
    """Decode image files, block after block, each block's in parallel.

    Args:
        paths: the files.
        decoding: how they become pixels.
        progress: called with (done, total).

    Attributes:
        bad: why a file could not be decoded, by its index.
        seconds: that it took.
    """

    def __init__(self, paths: Sequence[Path], decoding: Decoding, progress: Progress) -> None:
        self.paths, self.decoding, self.progress = paths, decoding, progress
        self.shape = (decoding.height, decoding.width, decoding.channels)
        self.bad: dict[int, str] = {}
        self.seconds = 0.0

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (the index of the first image, the images) of each block, in order."""
        self.bad, began = {}, time.perf_counter()
        size = max(16, min(BLOCK_IMAGES, BLOCK_BYTES // int(np.prod(self.shape))))
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(self.paths), size):
                indices = range(start, min(start + size, len(self.paths)))
                block = np.zeros((len(indices), *self.shape), np.uint8)
                self._fill(block, indices, pool)
                self.seconds = time.perf_counter() - began
                yield start, block

    def _fill(self, block: np.ndarray, indices: range, pool: ThreadPoolExecutor) -> None:
        def decode_one(index: int) -> str | None:
            path = self.paths[index]
            try:
                block[index - indices.start] = decode(path, self.decoding, path.name)
            except DataError as error:
                return str(error).removeprefix(f"{path.name}: ")
            return None

        for index, problem in zip(indices, pool.map(decode_one, indices), strict=True):
            if problem is not None:
                self.bad[index] = problem
            self.progress(index + 1, len(self.paths))
