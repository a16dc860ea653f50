"""C and C++ sources around a file for TensorFlow Lite Micro: its bytes, its operators, a test."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .c_sources import templates

TEMPLATES = "chip"  # the folder beside this module
BYTES_A_LINE = 20


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
    environment = templates(TEMPLATES)
    environment.filters["numbers"] = _numbers
    folder.mkdir()
    for name in environment.list_templates():
        source = environment.get_template(name).render(
            content=content, arena=arena, plan=plan, methods=methods, labels=labels, inputs=inputs,
            outputs=outputs,
        )  # fmt: skip
        (folder / name).write_text(source, encoding="utf-8")


def _numbers(values: Sequence[int]) -> str:
    """Return the lines of an array's numbers."""
    starts = range(0, len(values), BYTES_A_LINE)
    return "\n".join(
        "    " + "".join(f"{value}," for value in values[start : start + BYTES_A_LINE])
        for start in starts
    )
