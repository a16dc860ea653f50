"""Names in any script on figures: an installed font that has their characters, or numbers."""

import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
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


def drawable(
    names: Sequence[str], longest: int = LONGEST_CLASS, counted: str = "as labels.txt counts them"
) -> list[str]:
    """Return names as a figure can show them: one that no font has the characters of by its number.

    A warning says which name has which number; long names are shortened in the middle.

    Args:
        names: of classes, or of what else a figure names.
        longest: characters that a name may have.
        counted: what the warning says of the numbers.

    Returns:
        The names; `#3` for the third where it cannot be written.
    """
    lacking = numbered(names, longest)
    if lacking:
        first = [f"{number} = {name}" for number, name in lacking.items()][:MOST_NAMED]
        more = ", …" if len(lacking) > MOST_NAMED else ""
        _warn(
            f"no installed font has the characters of {len(lacking)} names; figures show their"
            f" numbers, {counted}: {', '.join(first)}{more} (a font such as Noto Sans has them)"
        )
    shown = [_short(name, longest) for name in names]
    return [f"#{i}" if f"#{i}" in lacking else name for i, name in enumerate(shown, 1)]


@cache
def _warn(text: str) -> None:
    """Warn once, of all figures: what Python has shown it forgets when any filter changes."""
    warnings.warn(text, KmixerWarning, stacklevel=1)


def numbered(names: Sequence[str], longest: int = LONGEST_CLASS) -> dict[str, str]:
    """Return the legend of `drawable`'s numbers, which count from 1.

    Args:
        names: see `drawable`.
        longest: see `drawable`.

    Returns:
        The names that no installed font has the characters of, by `#1`, `#2`, …: a plain number
        may be the name of another class.
    """
    shown = [_short(name, longest) for name in names]
    return {f"#{i}": name for i, name in enumerate(shown, 1) if _without_fonts(name)}


def _short(name: str, longest: int) -> str:
    return shorten(printable(name), longest)


def choose_fonts(figure: Figure) -> None:
    """Give each text of a figure the fonts that have its characters; "?" stands for others.

    What cannot be seen is escaped: a control character would make an SVG picture unreadable.

    Args:
        figure: whose texts are changed.
    """
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        content = printable_lines(text.get_text())
        if content != text.get_text():
            text.set_text(content)
        if lacking := _lacking(content, text.get_fontproperties()):
            text.set_fontfamily([*text.get_fontfamily(), *_fonts_for(lacking)])
            for character in _in_no_font(lacking):
                content = content.replace(character, "?")
            text.set_text(content)


def _without_fonts(text: str) -> frozenset[str]:
    """Return the characters of a text that no installed font has."""
    return _in_no_font(_lacking(text, font_manager.FontProperties()))


def _in_no_font(characters: frozenset[str]) -> frozenset[str]:
    fonts = [_installed()[family] for family in _fonts_for(characters)]
    return frozenset(c for c in characters if not any(ord(c) in font for font in fonts))


def _lacking(text: str, properties: font_manager.FontProperties) -> frozenset[str]:
    """Return the characters of a text that its own font lacks: DejaVu Sans, or that of code."""
    if text.isascii():
        return frozenset()
    own = _characters(font_manager.findfont(properties))
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
    _add_new_fonts()
    families: dict[str, frozenset[int]] = {}
    for entry in sorted(font_manager.fontManager.ttflist, key=lambda entry: entry.name):
        if entry.name not in families and not entry.name.startswith(NOT_A_SCRIPT):
            families[entry.name] = _characters(entry.fname)
    return families


def _add_new_fonts() -> None:
    """Find fonts that were installed after Matplotlib listed them, which it does once for good."""
    known = {str(entry.fname) for entry in font_manager.fontManager.ttflist}
    for path in sorted(set(font_manager.findSystemFonts()) - known):
        with suppress(Exception):  # as Matplotlib, which passes over whatever it cannot read
            font_manager.fontManager.addfont(path)


@cache
def _characters(path: str) -> frozenset[int]:
    """Return the characters of a font; none of one that cannot be read or holds pictures."""
    try:
        font = font_manager.get_font(path)
        characters: Iterable[int] = font.get_charmap() if font.scalable else ()
    except (OSError, RuntimeError):
        return frozenset()
    return frozenset(characters)
