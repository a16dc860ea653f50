"""What is printed may be lost without ending the command: its files are what it is run for."""

import errno
import io
import sys
from typing import Any

BUFFER_BYTES = io.DEFAULT_BUFFER_SIZE


class Output(io.FileIO):
    """A stream that discards what it is given, once a write has failed.

    Attributes:
        problem: why the first failed write did, such as a full disk; None: none failed.
    """

    problem: OSError | None = None

    def write(self, content: Any, /) -> int:
        if self.problem is None:
            try:
                return super().write(content)
            except OSError as error:
                self.problem = error
        return memoryview(content).nbytes


def tolerate_lost_output() -> None:
    """Let stdout and stderr be on a full disk, or have a reader that has ended."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if type(stream) is io.TextIOWrapper and type(_raw(stream)) is io.FileIO:
            setattr(sys, name, _tolerant(stream))


def _raw(stream: io.TextIOWrapper) -> object:
    return getattr(stream.buffer, "raw", stream.buffer)


def _tolerant(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    stream.flush()
    output = Output(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(output, BUFFER_BYTES),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering or stream.isatty(),
        write_through=stream.write_through,
    )


def lost_output() -> OSError | None:
    """Return why something that was printed on stdout is lost, or None."""
    stream = sys.stdout
    if not isinstance(stream, io.TextIOWrapper):
        return None
    output = _raw(stream)
    if not isinstance(output, Output):
        return None
    stream.flush()
    return output.problem


def is_reader_gone(problem: OSError) -> bool:
    """Return whether the reader of a pipe, such as `head`, has ended: it had what it wanted."""
    return problem.errno == errno.EPIPE
