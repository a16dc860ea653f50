"""Names in any script on figures: an installed font that has their characters, or numbers."""

import warnings
from collections.abc import Iterable, Sequence
from functools import cache

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

from ..errors import KmixerWarning
from ..files.printable import printable, printable_lines, shorten

NOT_A_SCRIPT = "Last Resort"  # Matplotlib's own, which has the same box for every character
LONGEST_NAME = 56  # characters of a run's name in a legend
LONGEST_CLASS = 40  # characters of a class name; longer ones leave a figure no room
MOST_NAMED = 20  # numbered names in the warning


def drawable(names: Sequence[str]) -> list[str]:
    """Return names as a figure can show them: one that no font has the characters of by its number.

    Long names are shortened in the middle.

    A warning says which name has which number, counted from 1.
    """
    names = [shorten(printable(name), LONGEST_CLASS) for name in names]
    found = [_without_fonts(name) for name in names]
    numbered = [f"{i}: {name}" for i, name in enumerate(names, 1) if found[i - 1]]
    if numbered:
        more = ", …" if len(numbered) > MOST_NAMED else ""
        warnings.warn(
            "no installed font has the characters of these classes, which are numbered on figures"
            f" ({', '.join(numbered[:MOST_NAMED])}{more}); a font such as Noto Sans CJK has them",
            KmixerWarning,
            stacklevel=1,  # the same for every figure, so that it is shown once
        )
    return [str(i) if found[i - 1] else name for i, name in enumerate(names, 1)]


def choose_fonts(figure: Figure) -> None:
    """Give each text of a figure the fonts that have its characters; "?" stands for others.

    What cannot be seen is escaped: a control character would make an SVG picture unreadable.
    """
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        content = printable_lines(text.get_text())
        if content != text.get_text():
            text.set_text(content)
        if lacking := _lacking(content):
            text.set_fontfamily([*text.get_fontfamily(), *_fonts_for(lacking)])
            for character in _without_fonts(content):
                content = content.replace(character, "?")
            text.set_text(content)


def _without_fonts(text: str) -> frozenset[str]:
    """Return the characters of a text that no installed font has."""
    lacking = _lacking(text)
    fonts = [_installed()[family] for family in _fonts_for(lacking)]
    return frozenset(c for c in lacking if not any(ord(c) in font for font in fonts))


def _lacking(text: str) -> frozenset[str]:
    """Return the characters of a text that Matplotlib's own font lacks."""
    if text.isascii():
        return frozenset()
    own = _characters(font_manager.findfont("DejaVu Sans"))
    return frozenset(c for c in text if c.isprintable() and ord(c) not in own)


@cache
def _fonts_for(characters: frozenset[str]) -> tuple[str, ...]:
    """Return the families to fall back to, the one with the most of the characters first."""
    chosen: list[str] = []
    left = {ord(character) for character in characters}
    while left:
        most = max(_installed().items(), key=lambda item: len(left & item[1]), default=None)
        if most is None or not left & most[1]:
            break
        chosen.append(most[0])
        left -= most[1]
    return tuple(chosen)


@cache
def _installed() -> dict[str, frozenset[int]]:
    """Return the characters of each installed family whose letters are outlines."""
    families: dict[str, frozenset[int]] = {}
    for entry in sorted(font_manager.fontManager.ttflist, key=lambda entry: entry.name):
        if entry.name not in families and not entry.name.startswith(NOT_A_SCRIPT):
            families[entry.name] = _characters(entry.fname)
    return families


def _characters(path: str) -> frozenset[int]:
    """Return the characters of a font; none of one that cannot be read or holds pictures."""
    try:
        font = font_manager.get_font(path)
        characters: Iterable[int] = font.get_charmap() if font.scalable else ()
    except (OSError, RuntimeError):
        return frozenset()
    return frozenset(characters)
