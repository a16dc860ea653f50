"""Write a Keras model as one C99 header: its weights, and a function for each kind of step."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import RunError
from ...files import atomic
from ..lowering import lower
from ..memory_plan import MemoryPlan, plan_memory
from ..steps import Activation, Step, count_weights, describe
from .c_calls import calls, function_name
from .c_sources import string_literal, templates

if TYPE_CHECKING:
    import keras

    from ...runs.answers import Answers
    from ...runs.run import Run

TEMPLATES = "c"  # the folder beside this module
HEADER, EXAMPLE = "model.h", "example.c"
LONGEST_NAME = 31  # letters that each C99 compiler tells apart, in a name that others see
NUMBERS_A_LINE = 8
MOST_WEIGHTS = 10_000_000  # gcc 12 takes 290 bytes of memory and 6 µs for each
MOST_SCRATCH = 2**31 - 1  # bytes: sizes and places are ints
OTHERWISE = "use another format, such as tflite"


def write(
    model: keras.Model, run: Run, folder: Path, quantize: str, representative: np.ndarray | None
) -> None:
    """Write `model.h`, and `example.c`, which classifies an image file with it.

    Args:
        model: see `saved_model.write`.
        run: see `saved_model.write`.
        folder: see `saved_model.write`.
        quantize: `"none"`.
        representative: not used.

    Raises:
        RunError: the model has too many weights for a header, or takes too much memory.
    """
    values = header_values(lower(model), run.name, run.class_names, run.answers)
    for name in (HEADER, EXAMPLE):
        atomic.write_text(folder / name, render(name, values))


def header_values(
    steps: Sequence[Step], name: str, class_names: Sequence[str], answers: Answers | None = None
) -> dict[str, Any]:
    """Return what the templates show.

    Args:
        steps: of the forward pass.
        name: of the run; what begins each name in the header is made of it.
        class_names: in the order of the probabilities.
        answers: the thresholds that sets of classes and unknown images are told by.

    Raises:
        RunError: see `write`.
    """
    plan, prefix = plan_memory(steps), identifier(name)
    _check_size(steps, plan)
    _, weights = describe(steps)
    return {
        "name": prefix,
        "NAME": prefix.upper(),
        "shape": steps[0].input_shape,
        "labels": [string_literal(label) for label in class_names],
        "plan": plan,
        "sha256": sha256(weights).hexdigest(),
        "weights": count_weights(steps),
        "version": version("kmixer"),
        "kinds": {function_name(step) for step in steps},
        "activations": sorted({step.name for step in steps if isinstance(step, Activation)}),
        "arrays": [*_arrays(steps, prefix)],
        "calls": [*calls(steps, plan, prefix)],
        "answers": answers and _thresholds(answers),
    }


def _check_size(steps: Sequence[Step], plan: MemoryPlan) -> None:
    weights, scratch = count_weights(steps), 4 * plan.size
    if weights > MOST_WEIGHTS:
        raise RunError(
            f"{weights:,} weights, {4 * weights:,} bytes, are too many for a header, whose compiler"
            f" takes 300 bytes of memory for each; expected at most {MOST_WEIGHTS:,}; {OTHERWISE}"
        )
    if scratch > MOST_SCRATCH:
        raise RunError(
            f"its values take {scratch:,} bytes of memory, expected at most {MOST_SCRATCH:,};"
            f" {OTHERWISE}"
        )


def identifier(name: str) -> str:
    """Return the beginning of C names that is nearest to a run's name.

    Example:
        >>> identifier("fmnist-best 2"), identifier("2 Schüsse"), identifier("猫")
        ('fmnist_best_2', 'model_2_schusse', 'model')
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.findall("[a-z0-9]+", plain)
    if not words or words[0][0].isdigit():
        words.insert(0, "model")
    return "_".join(words)[:LONGEST_NAME].rstrip("_")


def _thresholds(answers: Answers) -> dict[str, Any]:
    """Return what the functions of the answers compare with, as C's constants."""
    return {
        "percent": f"{100 * answers.coverage:g}",
        "least": _numbers(np.array(answers.least, np.float32)),
        "least_spread": f"{np.float32(answers.least_spread)}f",
        "smallest": f"{np.float32(answers.smallest)}f",
    }


def _arrays(steps: Sequence[Step], prefix: str) -> Iterator[dict[str, Any]]:
    for number, step in enumerate(steps, 1):
        for name, array in step.arrays.items():
            yield {
                "name": f"{prefix}_{number}_{name}",
                "shape": " x ".join(map(str, array.shape)),
                "size": array.size,
                "text": _numbers(array),
            }


def _numbers(array: np.ndarray) -> str:
    """Return numbers as C's constants: as many digits as tell a float32 from all others."""
    texts = array.ravel().astype(str).tolist()
    lines = (texts[i : i + NUMBERS_A_LINE] for i in range(0, len(texts), NUMBERS_A_LINE))
    return "\n".join("    " + " ".join(f"{text}f," for text in line) for line in lines)


def render(name: str, values: dict[str, Any]) -> str:
    """Return a template filled in.

    Args:
        name: of the template and of the file that it becomes.
        values: what `header_values` returned.
    """
    return templates(TEMPLATES).get_template(name).render(values)
