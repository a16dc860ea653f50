"""Check an exported PyTorch program before torch loads it.

Its text names functions, holds expressions that torch evaluates, and names that torch writes into
Python code. What is loaded is the archive written anew, with the text that was checked: two readers
of one archive may find different files in it.
"""

import json
import re
import zipfile
from collections.abc import Iterator
from io import BytesIO
from typing import Any

_NAME = re.compile(r"[\w./+-]*")
_FUNCTION = re.compile(r"torch\.ops\.aten\.\w+\.\w+|_operator\.getitem")
_FILES = "torch.ops.aten.from_file."  # it makes, and overwrites, any file
_SYMBOL = r"Symbol\('\w+'(?:, \w+=(?:True|False))*\)"
_EXPRESSION = re.compile(rf"(?:{_SYMBOL}|[su][0-9]+|[0-9]+|FloorDiv|Mod|\*(?!\*)|[-+/(), ])*")
_TREES = {None, "builtins.tuple", "builtins.list", "builtins.dict"}


def checked_program(content: bytes) -> bytes:
    """Return the archive of an exported program that only computes, written anew.

    Args:
        content: of the archive.

    Raises:
        ValueError: loading or calling it could do more.
    """
    written = BytesIO()
    with zipfile.ZipFile(BytesIO(content)) as archive, zipfile.ZipFile(written, "w") as checked:
        members = archive.infolist()
        names = [member.filename for member in members]
        if len(set(names)) < len(names):
            raise ValueError("it holds a file twice")
        for member in members:
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError(
                    f"it holds {member.filename!r:.100} compressed, as torch never does"
                )
            data = archive.read(member)
            is_text = member.filename.lower().endswith(".json")
            checked.writestr(member.filename, _checked_text(data) if is_text else data)
    return written.getvalue()


def _checked_text(data: bytes) -> bytes:
    document = json.loads(data)
    _check(document)
    return json.dumps(document).encode()


def _check(value: Any) -> None:
    """Refuse what could run code, and leave out remarks on where operations come from."""
    if isinstance(value, list):
        for each in value:
            _check(each)
    elif isinstance(value, dict):
        if "metadata" in value:
            value["metadata"] = {}
        for key, each in value.items():
            _check_text(key, _NAME)
            _check_entry(key, each)
    elif isinstance(value, str):
        _check_text(value, _NAME)


def _check_entry(key: str, value: Any) -> None:
    if key == "guards_code" and value:
        raise ValueError("it holds Python code (guards_code)")
    if key in ("in_spec", "out_spec") and isinstance(value, str):
        _check_tree(json.loads(value))
    elif key == "expr_str" and isinstance(value, str):
        _check_text(value, _EXPRESSION)
    elif key in ("target", "as_operator") and isinstance(value, str):
        _check_text(value, _FUNCTION)
    else:
        _check(value)


def _check_text(text: str, pattern: re.Pattern[str]) -> None:
    if not pattern.fullmatch(text) or text.startswith(_FILES):
        raise ValueError(f"it holds {text!r:.100}, which may do more than compute")


def _check_tree(spec: Any) -> None:
    """Refuse a structure of arguments with types of other modules, which would be imported."""
    for node in _dicts(spec):
        if node.get("type") not in _TREES or "{" in str(node.get("context")):
            raise ValueError("it takes or returns other things than images and probabilities")


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value:
        if isinstance(each, dict | list):
            yield from _dicts(each)
