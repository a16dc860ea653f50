"""The errors kmixer raises: one line saying what was received, what was expected, what to do."""

import re
import signal
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

_OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "OOM when", "out of memory", "not enough memory")


class KmixerError(Exception):
    """Something failed that is not a bug. `exit_code` is what the command line ends with."""

    exit_code = 1


class DataError(KmixerError):
    """A data set is missing, damaged or cannot be learned from."""


class RunError(KmixerError):
    """A run folder is missing, incomplete or not a run folder."""


class SettingsError(KmixerError):
    """A setting is unknown, of the wrong type, out of range or contradicts another one."""

    exit_code = 2


class DivergedError(KmixerError):
    """The training loss is no longer a finite number."""

    exit_code = 3


class KmixerWarning(UserWarning):
    """Something was decided that the user may want otherwise; the command line prints it."""


class InterruptedRunError(BaseException):
    """A signal came; `exit_code` is 128 + its number.

    Like KeyboardInterrupt it is no `Exception`: it may be raised anywhere, and what reads a file
    must not take it for damage.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


def describe(error: BaseException) -> str:
    """Return an exception as one line: kmixer's own in their words, others with their type."""
    if isinstance(error, KmixerError | InterruptedRunError):
        return " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    message = _first_line(str(error)) or "no reason given"
    if is_out_of_memory(error):
        return f"out of memory; a smaller model or data.batch_size needs less: {message}"
    return f"{type(error).__name__}: {message}"


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether memory was not enough: each backend has its own type for it, and torch none."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _OUT_OF_MEMORY)


def one_line(error: object, longest: int = 200) -> str:
    """Return a message of another library on one line, cut to `longest` characters."""
    return " ".join(str(error).split())[:longest]


def file_problem(error: OSError | UnicodeError) -> str:
    """Return why a file could not be read or written, such as `No space left on device`."""
    if isinstance(error, UnicodeError):
        return "it is not UTF-8 text"
    return error.strerror or one_line(error)


def nearest(name: object, valid: Iterable[object]) -> str:
    """Return ` (nearest: 'a', 'b')` for the valid names that look like `name`, or list them all."""
    names = [str(choice) for choice in valid]
    close = get_close_matches(str(name), names, n=3, cutoff=0.5)
    if close:
        return " (nearest: " + ", ".join(repr(choice) for choice in close) + ")"
    return " (valid: " + ", ".join(names) + ")"


def few(names: Sequence[str], most: int = 3, longest: int = 100) -> str:
    """Return the first names and how many more there are: `a, b, c and 12 more`."""
    short = [name if len(name) <= longest else f"{name[:longest]}…" for name in names[:most]]
    more = len(names) - most
    return ", ".join(short) + (f" and {more:,} more" if more > 0 else "")


def process_failure(code: int, stderr: str) -> str:
    """Return why a process failed, as one line.

    Args:
        code: its exit code; below 0 the signal that ended it.
        stderr: what it wrote there.
    """
    if code < 0:
        return f"killed by {signal.Signals(-code).name}; was there memory left?"
    lines = stderr.strip().splitlines()
    # of kmixer's own errors the words are enough
    return re.sub(r"^kmixer\.errors\.\w+: ", "", lines[-1])[:300] if lines else f"exit code {code}"


def _first_line(text: str) -> str:
    return next((line.strip()[:300] for line in text.splitlines() if line.strip()), "")
