"""Pillow's own limit and warnings, out of the way while this package reads an image."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

DECODED_TOGETHER = 128_000_000  # pixels, about a gigabyte

_lock = threading.Lock()
_reading, _restore = 0, warnings.catch_warnings()
_limit: int | None = None


@contextmanager
def without_pillow_limits() -> Iterator[None]:
    """Let Pillow open images of any size, without warnings, until the block ends.

    The caller sets its own limit, which is larger for a user's own photos and smaller on a server.
    Both switches are the whole process's, so the first of several threads that read turns them and
    the last one turns them back.
    """
    _begin()
    try:
        yield
    finally:
        _end()


def _begin() -> None:
    global _reading, _restore, _limit  # noqa: PLW0603  what they guard is global, too
    with _lock:
        if not _reading:
            _restore, _limit = warnings.catch_warnings(), Image.MAX_IMAGE_PIXELS
            _restore.__enter__()
            warnings.simplefilter("ignore")
            Image.MAX_IMAGE_PIXELS = None
        _reading += 1


def _end() -> None:
    global _reading  # noqa: PLW0603
    with _lock:
        _reading -= 1
        if not _reading:
            Image.MAX_IMAGE_PIXELS = _limit
            _restore.__exit__(None, None, None)


class PixelBudget:
    """Bounds the pixels that threads decode together; a larger image is decoded alone.

    Args:
        pixels: of all images that are decoded at a time.
    """

    def __init__(self, pixels: int = DECODED_TOGETHER) -> None:
        self.pixels, self.taken = pixels, 0
        self._freed = threading.Condition()

    @contextmanager
    def take(self, pixels: int) -> Iterator[None]:
        """Wait until so many pixels may be decoded; they count until the block ends."""
        with self._freed:
            self._freed.wait_for(lambda: not self.taken or self.taken + pixels <= self.pixels)
            self.taken += pixels
        try:
            yield
        finally:
            with self._freed:
                self.taken -= pixels
                self._freed.notify_all()
