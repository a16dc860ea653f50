"""Names of files and folders as text that can be shown, compared, and stored one a line."""

import unicodedata
from pathlib import Path

JOINERS = "\u200c\u200d"  # invisible, but part of Persian and Indic words and of emoji
LONGEST = 100


def printable(name: str) -> str:
    r"""Return a name in Unicode's composed form (NFC), with escapes for what cannot be shown.

    Names that look the same become the same. Control characters, line ends, marks that turn the
    direction of the text, and bytes that are not UTF-8 become `\n`, `\u202e`, `\xff`.
    """
    if name.isascii() and name.isprintable():  # the usual case, of thousands of files
        return name
    return "".join(map(_shown, unicodedata.normalize("NFC", name)))


def _shown(character: str) -> str:
    if character.isprintable() or character in JOINERS:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # Python's stand-in for a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def shown(path: Path) -> str:
    """Return a path for a message: printable, and shortened in the middle."""
    text = printable(str(path))
    half = LONGEST // 2
    return text if len(text) <= 2 * LONGEST else f"{text[:half]}…{text[-half:]}"
