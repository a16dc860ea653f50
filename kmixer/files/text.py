"""Text files: reading one with an error that names it, and tables as CSV."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import KmixerError, RunError, file_problem


def read_text(path: str | Path, error: type[KmixerError] = RunError) -> str:
    """Return the content of a UTF-8 text file.

    Args:
        path: the file.
        error: what is raised where it cannot be read, or is not UTF-8.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as reason:
        raise error(f"{path}: cannot be read: {file_problem(reason)}") from None


def csv_text(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a table as CSV: the columns' names, then a line a row.

    Args:
        columns: the names, in order.
        rows: a mapping from column to value each; a missing value is an empty cell.

    Raises:
        ValueError: a row has a key that is no column.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
