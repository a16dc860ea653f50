"""Text of others in Markdown: it reads as it is, and is no tag, no link, no edge of a table."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .printable import printable

if TYPE_CHECKING:
    from jinja2 import Environment

_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# What has a meaning anywhere in a line. An underscore between letters has none, and names have it.
_ANYWHERE = re.compile(r"[\\`*\[\]|$~]|(?<![^\W_])_|_(?![^\W_])")
_ADDRESS = re.compile(r"(?i)(?<=[a-z])(?=:/)|(?<=\bwww)(?=\.)")  # becomes a link by itself
_AT_START = re.compile(r"\d{1,9}(?=[.)](\s|$))|(?=[#+=:-])")  # of a line: a list, a heading


class Markdown(str):
    """Text that is Markdown already."""

    __slots__ = ()


def markdown(text: object) -> Markdown:
    """Return a text as one line of Markdown that shows it.

    Args:
        text: whatever is shown; a `Markdown` stays as it is.
    """
    if isinstance(text, Markdown):
        return text
    line = "".join(_HTML.get(character, character) for character in printable(text).strip())
    line = _ANYWHERE.sub(lambda match: f"\\{match[0]}", line)
    line = _ADDRESS.sub(r"\\", line)
    start = _AT_START.match(line)
    return Markdown(f"{line[: start.end()]}\\{line[start.end() :]}" if start else line)


def markdown_code(text: object) -> Markdown:
    """Return a text as a code span, whose fence is longer than any in the text.

    One that could be a tag is no code span: programs that show Markdown differ in which they see
    first.
    """
    line = printable(text)
    if "<" in line:
        return markdown(line)
    fence = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    space = " " if line[:1] in ("`", " ", "") or line[-1:] in ("`", " ") else ""
    return Markdown(f"{fence}{space}{line}{space}{fence}")


def quoted(text: object) -> Markdown:
    """Return a text as YAML writes it on one line, for what precedes the Markdown."""
    return Markdown(json.dumps(printable(text), ensure_ascii=False).replace("<", r"\u003c"))


def markdown_table(rows: Sequence[Sequence[object]]) -> str:
    """Return the lines of a table, the first row its header; columns but the first are numbers."""
    lines = [f"| {' | '.join(map(markdown, row))} |" for row in rows]
    rule = "| --- |" + " ---: |" * (len(rows[0]) - 1)
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"


def markdown_environment() -> Environment:
    """Return the environment of Jinja's templates of Markdown: each value they show is escaped.

    They have the filters `md` (for parts of a value), `code` (a code span) and `quoted` (a text of
    YAML). `raw` takes a value that is Markdown, or a program, as it is.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, finalize=markdown,
    )  # fmt: skip
    environment.filters |= {
        "md": markdown, "code": markdown_code, "quoted": quoted, "raw": Markdown,
    }  # fmt: skip
    return environment
