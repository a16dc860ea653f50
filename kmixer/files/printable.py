"""Text that is shown: what a terminal, or an eye, would take for something else is escaped."""

import re

# Invisible, but part of Persian and Indic words and of emoji: between two such characters.
_JOINER = re.compile("(?<=[^\x00-\x7f])[\u200c\u200d](?=[^\x00-\x7f])")
# Letters and marks by their category, which nevertheless show nothing.
_INVISIBLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, range(0xE0100, 0xE01F0)))
)


def printable(text: object) -> str:
    r"""Return a text on one line, with escapes for what cannot be seen.

    Control characters (a terminal obeys them), line ends, marks that turn the direction of the
    text, invisible characters and bytes that are not UTF-8 become `\x1b`, `\n`, `\u202e`,
    `\u200b`, `\xff`.

    Args:
        text: whatever is shown: a name, a note, an error; another object as `str` gives it.
    """
    text = str(text)
    if text.isascii() and text.isprintable():  # the usual case, of thousands of names
        return text
    kept = {match.start() for match in _JOINER.finditer(text)}
    return "".join(
        character if index in kept else _shown(character) for index, character in enumerate(text)
    )


def printable_lines(text: str) -> str:
    """Return a text of several lines, such as a traceback, with each line `printable`."""
    return "\n".join(map(printable, text.split("\n")))


def shorten(text: str, longest: int) -> str:
    """Leave out the middle of a long text: names that are alike often differ at the end.

    Args:
        text: of any length.
        longest: characters that it may have, and one for what is left out.
    """
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]}…{text[-half:]}"


def _shown(character: str) -> str:
    if character.isprintable() and character not in _INVISIBLE:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # Python's stand-in for a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
