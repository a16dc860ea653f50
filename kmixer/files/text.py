"""Text files: reading one with an error that names it, and tables as CSV."""

import base64
import csv
import io
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import KmixerError, RunError, file_problem
from .bounded import read_bounded
from .printable import printable

MOST = 10_000_000  # bytes; a history of 100,000 epochs has as many

# What a spreadsheet takes for a formula: at the start of a cell, or after a semicolon, which ends a
# cell in half of the world. Full-width signs are taken for their plain ones.
_SIGN = "\\s*[-=+@\uff0d\uff1d\uff0b\uff20]"
_FORMULA = re.compile(f"(^|;)(?='*{_SIGN})")
_MARKED_FORMULA = re.compile(f"(^|;)'(?='*{_SIGN})")


def data_address(kind: str, content: bytes) -> str:
    """Return bytes of a media type, such as `image/png`, as a `data:` address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def percent(share: float, digits: int = 2) -> str:
    """Return a share as per cent, as it is written everywhere: `69.20 %`.

    Args:
        share: from 0 to 1.
        digits: after the point.
    """
    return f"{100 * share:.{digits}f} %"


def read_text(path: str | Path, error: type[KmixerError] = RunError, most: int = MOST) -> str:
    """Return the content of a UTF-8 text file, with every end of a line as a line feed.

    Args:
        path: the file.
        error: what is raised where it cannot be read, is not UTF-8 or is larger.
        most: bytes that it may have.
    """
    try:
        content = io.BytesIO(read_bounded(path, most))
        return io.TextIOWrapper(content, encoding="utf-8").read()
    except (OSError, UnicodeDecodeError) as reason:
        raise error(f"{path}: cannot be read: {file_problem(reason)}") from None


def csv_text(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a table as CSV: the columns' names, then a line a row.

    A text that a spreadsheet would take for a formula has an apostrophe before it, and what cannot
    be seen is escaped; numbers stay as they are. `read_csv` takes the apostrophes off.

    Args:
        columns: the names, in order.
        rows: a mapping from column to value each; a missing value is an empty cell.

    Raises:
        ValueError: a row has a key that is no column.
    """
    text = io.StringIO()
    names = list(columns)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_safe_cell, names))
    for row in rows:
        if unknown := row.keys() - set(names):
            raise ValueError(f"{', '.join(unknown)}: no such column")
        writer.writerow([_safe_cell(row.get(name, "")) for name in names])
    return text.getvalue()


def read_csv(path: Path) -> list[dict[str, str | None]]:
    """Return the rows of a file that `csv_text` gave, by the columns' names.

    A row that is too short has None for what it lacks; what is too much in a row is left out.

    Raises:
        RunError: it cannot be read, or is no CSV.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path))))
    except csv.Error as error:
        raise RunError(f"{path}: damaged: {error}") from None
    return [
        {_plain_cell(name): _plain_cell(cell) for name, cell in row.items() if name is not None}
        for row in rows
    ]


def _safe_cell(value: Any) -> Any:
    return _FORMULA.sub(r"\1'", printable(value)) if isinstance(value, str) else value


def _plain_cell(cell: Any) -> Any:
    return _MARKED_FORMULA.sub(r"\1", cell) if cell else cell
