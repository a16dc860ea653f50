"""A search's own record: one JSON object a line, appended and synced; nothing in it is changed."""

import json
import os

from ...errors import RunError

FILE = "journal.jsonl"


class Journal:
    """An append-only file of events.

    A process that is killed can leave half a line at the end. It is not read, and the next event
    begins a line of its own, so that what was written before it and after it stays.

    Args:
        path: of the file.
    """

    def __init__(self, path):
        self.path = path

    def read(self):
        """Return the events in the order in which they happened."""
        lines = self.path.read_bytes().splitlines() if self.path.is_file() else []
        events = []
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:  # it was being written when its process was killed
                continue
            if isinstance(event, dict):
                events.append(event)
        return events

    def append(self, **event):
        """Add an event; it is on the disk when this returns.

        Raises:
            RunError: it cannot be written.
        """
        try:
            with self.path.open("ab+") as file:
                file.seek(max(file.tell() - 1, 0))
                torn = file.read(1) not in (b"", b"\n")
                file.write(b"\n" * torn + json.dumps(event).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written: {error.strerror or error}") from None
