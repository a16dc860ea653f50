"""Names of files and folders as text that can be shown, compared, and stored one a line."""

import unicodedata
from pathlib import Path

from ....files import printable as visible

LONGEST = 200  # characters of a path in a message


def printable(name: str) -> str:
    """Return a name in Unicode's composed form (NFC), with escapes for what cannot be shown.

    Names that look the same become the same; see `kmixer.files.printable`.
    """
    return visible.printable(name if name.isascii() else unicodedata.normalize("NFC", name))


def shown(path: Path) -> str:
    """Return a path for a message: printable, and shortened in the middle."""
    return visible.shorten(printable(str(path)), LONGEST)
