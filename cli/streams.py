"""The process's stdout, stderr and warnings, whatever they were when the command was started."""

import codecs
import io
import os
import sys
import warnings
from typing import Any

from .output import tolerate_lost_output

PLAIN = str.maketrans({"×": "x", "…": "...", "–": "-", "→": "->", "≥": ">=", "²": "2", "·": "-"})


def prepare_streams() -> None:
    """Make stdout and stderr take whatever is printed.

    One that is closed discards it. A character that the encoding lacks is replaced: a sign by plain
    letters, another one by its number, so that names stay apart.
    """
    codecs.register_error("plain", _plain)
    columns = os.environ.get("COLUMNS", "")
    if columns and not (columns.isdecimal() and int(columns)):  # Rich takes 0 for a width
        del os.environ["COLUMNS"]
    for descriptor, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        _open_if_closed(descriptor, name)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain")
    tolerate_lost_output()


def _open_if_closed(descriptor: int, name: str) -> None:
    """Open what is closed, before the next file that is opened gets its number and its text."""
    try:
        os.fstat(descriptor)
    except OSError:
        nothing = os.open(os.devnull, os.O_RDWR)
        if nothing != descriptor:
            os.dup2(nothing, descriptor)
            os.close(nothing)
        os.set_inheritable(descriptor, True)  # the processes that are started need it too
    if getattr(sys, name) is None:
        mode = "r" if descriptor == 0 else "w"
        stream = open(descriptor, mode, encoding="utf-8", closefd=False)  # noqa: SIM115  # for good
        setattr(sys, name, stream)


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(PLAIN)
    return text.encode("ascii", "backslashreplace").decode(), error.end


def prepare_warnings() -> None:
    """Print kmixer's own warnings as one line; those of libraries end no command.

    PYTHONWARNINGS=error is for programs under test. It comes before kmixer is imported.
    """
    if sys.warnoptions:
        os.environ.pop("PYTHONWARNINGS", None)  # of the processes that are started
        warnings.resetwarnings()
        warnings.simplefilter("ignore")
        warnings.filterwarnings("default", module="kmixer")

    def show(message: Any, category: type[Warning], *where: Any, **options: Any) -> None:
        from kmixer.errors import KmixerWarning
        from kmixer.files.printable import printable, printable_lines

        if issubclass(category, KmixerWarning):
            text = f"kmixer: {printable(message)}\n"
        else:
            filename, line_number, *_ = where
            text = warnings.formatwarning(message, category, filename, line_number)
        if sys.stderr is not None:
            sys.stderr.write(printable_lines(text))

    warnings.showwarning = show
