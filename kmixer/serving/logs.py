"""What the server writes about clients: so many lines in a period, however many there would be."""

import logging
import time
import traceback

LINES, SECONDS = 20, 60.0


class FewLines(logging.Filter):
    """Lets the first lines of a period through, and says later how many there were.

    Args:
        lines: of a period.
        seconds: of a period.
    """

    def __init__(self, lines: int = LINES, seconds: float = SECONDS) -> None:
        super().__init__()
        self.lines, self.seconds = lines, seconds
        self._begin, self._count = float("-inf"), 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written."""
        allowed, before = self.allow()
        if before:
            record.msg = f"{record.msg} ({before:,} more lines were not written before it)"
        return allowed

    def allow(self) -> tuple[bool, int]:
        """Count a line; return whether it is written, and how many were not before it."""
        now, before = time.monotonic(), 0
        if now - self._begin > self.seconds:
            before = max(self._count - self.lines, 0)
            self._begin, self._count = now, 0
        self._count += 1
        return self._count <= self.lines, before

    def print_exception(self, error: BaseException) -> None:
        """Write an error with its traceback on stderr, if its turn comes."""
        allowed, _ = self.allow()
        if allowed:
            traceback.print_exception(error)
