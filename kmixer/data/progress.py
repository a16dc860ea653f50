"""How far reading is: a function of (done, total), called often enough to be seen to move."""

import time
from collections.abc import Callable

Progress = Callable[[int, int], object]  # called with (done, total)
SECONDS = 0.1  # between two calls; drawing a bar takes longer than reading a small image


def part(progress: Progress | None, number: int, parts: int) -> Progress:
    """Return the progress of one of several parts, which are taken to be equally long.

    Args:
        progress: of the whole; it is called about ten times a second.
        number: of the part, from 0.
        parts: how many there are.
    """
    next_call = 0.0

    def report(done: int, total: int) -> None:
        nonlocal next_call
        if progress and (done == total or time.monotonic() >= next_call):
            progress(number * total + done, parts * total)
            next_call = time.monotonic() + SECONDS

    return report
