"""C and C++ sources around a file for TensorFlow Lite Micro: its bytes, its operators, a test."""

import string
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

TEMPLATES = "chip"  # the folder beside this package
BYTES_A_LINE = 20
_PLAIN = frozenset(f"{string.ascii_letters}{string.digits} -_.,/()".encode())


def write(
    folder: Path,
    *,
    content: bytes,
    arena: int,
    plan: int,
    methods: Sequence[str],
    labels: Sequence[str],
    inputs: np.ndarray,
    outputs: np.ndarray,
) -> None:
    """Write every source into a new folder.

    Args:
        folder: the folder.
        content: of model.tflite.
        arena: bytes of working memory that the interpreter keeps for it.
        plan: bytes that it needs besides while it plans, at most.
        methods: of `MicroMutableOpResolver` that register its operators.
        labels: the class names.
        inputs: int8 test images `(n, height, width, channels)`.
        outputs: the int8 that come out `(n, classes)`.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"numbers": _numbers, "c_string": c_string}
    folder.mkdir()
    for template in resources.files("kmixer.exporting").joinpath(TEMPLATES).iterdir():
        source = environment.from_string(template.read_text(encoding="utf-8")).render(
            content=content, arena=arena, plan=plan, methods=methods, labels=labels, inputs=inputs,
            outputs=outputs,
        )  # fmt: skip
        (folder / template.name).write_text(source, encoding="utf-8")


def c_string(text: str) -> str:
    """Return a text as a string of C: whatever is no plain ASCII as octal bytes of UTF-8.

    A question mark is one of them: two would begin a trigraph.

    Example:
        >>> c_string('a "b"')
        '"a \\\\042b\\\\042"'
    """
    return '"' + "".join(map(_c_character, text.encode())) + '"'


def _c_character(byte: int) -> str:
    return chr(byte) if byte in _PLAIN else f"\\{byte:03o}"


def _numbers(values: Sequence[int]) -> str:
    """Return the lines of an array's numbers."""
    starts = range(0, len(values), BYTES_A_LINE)
    return "\n".join(
        "    " + "".join(f"{value}," for value in values[start : start + BYTES_A_LINE])
        for start in starts
    )
