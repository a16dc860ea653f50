"""A search's own record: one JSON object a line, appended and synced; no line ever changes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ...errors import RunError, file_problem
from ...files.bounded import read_bounded
from ...files.opened import appending

FILE = "journal.jsonl"
MOST_BYTES = 200_000_000  # of 100,000 trials


class Journal:
    """An append-only file of events.

    A process that is killed can leave half a line at the end. It is not read, and the next event
    starts a new line, so the events before and after it stay readable.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[dict[str, Any]]:
        """Return the events in the order in which they happened.

        Raises:
            RunError: the file cannot be read, or is larger than any search's.
        """
        try:
            lines = read_bounded(self.path, MOST_BYTES).splitlines()
        except FileNotFoundError:
            lines = []
        except OSError as error:
            raise RunError(f"{self.path}: cannot be read: {file_problem(error)}") from None
        events = []
        for line in lines:
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):  # its process was killed while writing it
                continue
            if isinstance(event, dict):
                events.append(event)
        return events

    def append(self, **event: Any) -> None:
        """Add an event; it is on the disk when this returns.

        Raises:
            RunError: it cannot be written.
        """
        line = json.dumps(event).encode() + b"\n"
        try:
            with appending(self.path) as descriptor, open(descriptor, "ab+", closefd=False) as file:
                file.seek(max(file.tell() - 1, 0))
                last_byte = file.read(1)
                if last_byte not in (b"", b"\n"):  # half a line of a killed process
                    line = b"\n" + line
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written: {file_problem(error)}") from None
