"""How far reading is: a function of (done, total), called often enough to be seen to move."""

import time
from collections.abc import Callable

Progress = Callable[[int, int], object]  # called with (done, total)
SECONDS = 0.1  # between two calls; drawing a bar takes longer than reading a small image

# In per cent of the time that small images take.
LISTING, DESCRIBING, DECODING = (0, 5), (5, 25), (25, 100)


def part(progress: Progress | None, span: tuple[int, int]) -> Progress:
    """Return the progress of a part of something that takes longer.

    Args:
        progress: of the whole; it is called about ten times a second.
        span: from where to where the part goes, in per cent of the whole.
    """
    begin, end = span
    next_call = 0.0

    def report(done: int, total: int) -> None:
        nonlocal next_call
        if progress and (done == total or time.monotonic() >= next_call):
            progress(begin * total + (end - begin) * done, 100 * total)
            next_call = time.monotonic() + SECONDS

    return report
