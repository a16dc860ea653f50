"""What every writer of C sources needs: its templates, and texts as strings of C."""

from __future__ import annotations

import string
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

_PLAIN = frozenset(f"{string.ascii_letters}{string.digits} -_.,/()".encode())


def templates(folder: str) -> Environment:
    """Return the templates of a folder beside this module.

    Args:
        folder: its name.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name(folder)), undefined=StrictUndefined,
        autoescape=False, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["c_string"] = string_literal
    return environment


def string_literal(text: str) -> str:
    r"""Return a text as a C string in UTF-8: whatever is no plain ASCII as octal bytes.

    A question mark is one of them: two may begin a trigraph.

    Example:
        >>> print(string_literal('a "b"?'), string_literal("é\n1"))
        "a \042b\042\077" "\303\251\0121"
    """
    return '"' + "".join(map(_character, text.encode())) + '"'


def _character(byte: int) -> str:
    return chr(byte) if byte in _PLAIN else f"\\{byte:03o}"
