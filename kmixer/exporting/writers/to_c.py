"""Write a Keras model as one C99 header: its weights, and a function for each kind of step."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import SettingsError
from ...files import atomic
from ..lowering import lower
from ..memory_plan import MemoryPlan, plan_memory
from ..steps import (
    Activation,
    Add,
    Affine,
    Convolution,
    Dense,
    LayerNorm,
    MaxPool,
    Mean,
    Pad,
    Patches,
    Shift,
    Softmax,
    Step,
    around,
    count_weights,
    describe,
)

if TYPE_CHECKING:
    import keras

    from ...runs.run import Run

TEMPLATES = Path(__file__).with_name("c")
HEADER, EXAMPLE = "model.h", "example.c"
LONGEST_NAME = 31  # letters that each C99 compiler tells apart, in a name that others see
NUMBERS_A_LINE = 8
MOST_WEIGHTS = 8_000_000  # a compiler takes about 100 bytes of memory for each
MOST_SCRATCH = 2**31 - 1  # bytes: sizes and places are ints


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
        SettingsError: the model has too many weights for a header, or takes too much memory.
    """
    values = header_values(lower(model), run.name, run.class_names)
    for name in (HEADER, EXAMPLE):
        atomic.write_text(folder / name, _render(name, values))


def header_values(steps: Sequence[Step], name: str, class_names: Sequence[str]) -> dict[str, Any]:
    """Return what the templates show.

    Args:
        steps: of the forward pass.
        name: of the run; what begins each name in the header is made of it.
        class_names: in the order of the probabilities.

    Raises:
        SettingsError: see `write`.
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
        "kinds": {kind for step in steps for kind in _functions(step)},
        "activations": sorted({step.name for step in steps if isinstance(step, Activation)}),
        "arrays": [*_arrays(steps, prefix)],
        "calls": [*_calls(steps, plan, prefix)],
    }


def _check_size(steps: Sequence[Step], plan: MemoryPlan) -> None:
    weights, scratch = count_weights(steps), 4 * plan.size
    if weights > MOST_WEIGHTS:
        raise SettingsError(
            f"--format: received c for a model of {weights:,} weights, {4 * weights:,} bytes;"
            f" compilers take headers of up to {MOST_WEIGHTS:,}: use another format, such as tflite"
        )
    if scratch > MOST_SCRATCH:
        raise SettingsError(
            f"--format: received c for a model that needs {scratch:,} bytes for its values,"
            f" expected at most {MOST_SCRATCH:,}: use another format, such as tflite"
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


def string_literal(text: str) -> str:
    r"""Return a text as a C string in UTF-8, whatever is in it.

    A question mark is escaped, too: two of them may begin a trigraph.

    Example:
        >>> print(string_literal('a "b"?'), string_literal("é\n1"))
        "a \"b\"\?" "\303\251\0121"
    """
    return '"' + "".join(map(_escaped, text.encode())) + '"'


def _escaped(byte: int) -> str:
    character = chr(byte)
    if character in '"\\?':
        return f"\\{character}"
    return character if 32 <= byte < 127 else f"\\{byte:03o}"


def _functions(step: Step) -> Iterator[str]:
    """Yield the names of the functions that a step calls."""
    is_along = isinstance(step, Dense) and around(step.input_shape, step.axis)[2] > 1
    yield "dense_along" if is_along else step.kind


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


def _calls(steps: Sequence[Step], plan: MemoryPlan, prefix: str) -> Iterator[dict[str, Any]]:
    """Yield each step's comment and its lines of C."""
    for number, step in enumerate(steps, 1):
        x = f"scratch + {plan.values[number - 1]}"
        y = f"scratch + {plan.values[number]}" if number < len(steps) else "probabilities"
        lines, count = [], prod(step.shape)
        if isinstance(step, Affine | Activation | Add) and not plan.in_place(number):
            lines.append(f"memcpy({y}, {x}, sizeof(float) * {count});")
        call = _Call(step, number, x, y, plan, prefix)
        lines += [f"{prefix}_{line};" for line in _LINES[type(step)](call)]
        if isinstance(step, Softmax):
            lines[-1] = f"return {lines[-1]}"
        shape = " x ".join(map(str, step.shape))
        yield {"comment": f"{number}: {step.kind} -> {shape}", "lines": lines}


class _Call:
    """What the lines of one step are made of.

    Attributes:
        step: the step.
        x: the place of the value that it takes, as C.
        y: the place of the value that it gives.
        plan: of the memory.
    """

    def __init__(
        self, step: Any, number: int, x: str, y: str, plan: MemoryPlan, prefix: str
    ) -> None:
        self.step, self.x, self.y, self.plan = step, x, y, plan
        self._number, self._prefix = number, prefix

    def weights(self, name: str) -> str:
        """Return the name of an array; NULL where there is none."""
        known = name in self.step.arrays
        return f"{self._prefix}_{self._number}_{name}" if known else "NULL"

    @property
    def patches(self) -> str:
        """The place of a row of patches."""
        return f"scratch + {self.plan.patches[self._number]}"


def _affine(call: _Call) -> Iterator[str]:
    sizes = ", ".join(map(str, around(call.step.input_shape, call.step.axis)))
    yield f"affine({call.y}, {sizes}, {call.weights('scale')}, {call.weights('offset')})"


def _pad(call: _Call) -> Iterator[str]:
    step = call.step
    rows, columns, channels = step.input_shape
    before = f"{step.rows[0]}, {step.columns[0]}"
    after = f"{step.shape[0]}, {step.shape[1]}"
    yield f"pad({call.x}, {rows}, {columns}, {channels}, {before}, {call.y}, {after})"


def _patches(call: _Call) -> Iterator[str]:
    step = call.step
    _, columns, channels = step.input_shape
    sizes = f"{columns}, {channels}, {step.size}, {step.stride}"
    yield f"patches({call.x}, {sizes}, {call.y}, {step.shape[0]}, {step.shape[1]})"


def _convolution(call: _Call) -> Iterator[str]:
    step = call.step
    _, columns, channels = step.input_shape
    rows, to_columns, filters = step.shape
    sizes = f"{columns}, {channels}, {step.size}, {step.stride}, {filters}"
    weights = f"{call.weights('kernel')}, {call.weights('bias')}"
    places = f"{call.patches}, {call.y}"
    yield f"convolution({call.x}, {sizes}, {weights}, {places}, {rows}, {to_columns})"


def _dense(call: _Call) -> Iterator[str]:
    step = call.step
    outer, n, inner = around(step.input_shape, step.axis)
    sizes = f"{outer}, {n}, {inner}" if inner > 1 else f"{outer}, {n}"
    weights = f"{call.weights('kernel')}, {call.weights('bias')}"
    (name,) = _functions(step)
    yield f"{name}({call.x}, {sizes}, {step.kernel.shape[1]}, {weights}, {call.y})"


def _layer_norm(call: _Call) -> Iterator[str]:
    step = call.step
    rows, n, _ = around(step.shape, len(step.shape) - 1)
    weights = f"{call.weights('gamma')}, {call.weights('beta')}, {np.float32(step.epsilon)}f"
    yield f"layer_norm({call.x}, {rows}, {n}, {weights}, {call.y})"


def _activation(call: _Call) -> Iterator[str]:
    yield f"{call.step.name}({call.y}, {prod(call.step.shape)})"


def _add(call: _Call) -> Iterator[str]:
    other = call.plan.values[call.step.other]
    yield f"add({call.y}, scratch + {other}, {prod(call.step.shape)})"


def _shift(call: _Call) -> Iterator[str]:
    sizes = ", ".join(map(str, call.step.shape))
    for group in call.step.groups:
        yield f"shift({call.x}, {sizes}, {', '.join(map(str, group))}, {call.y})"


def _mean(call: _Call) -> Iterator[str]:
    rows, n, _ = around(call.step.input_shape, len(call.step.input_shape) - 1)
    yield f"mean({call.x}, {rows}, {n}, {call.y})"


def _max_pool(call: _Call) -> Iterator[str]:
    step = call.step
    _, columns, channels = step.input_shape
    sizes = f"{columns}, {channels}, {step.size}"
    yield f"max_pool({call.x}, {sizes}, {call.y}, {step.shape[0]}, {step.shape[1]})"


def _softmax(call: _Call) -> Iterator[str]:
    yield f"softmax({call.x}, {prod(call.step.shape)}, {call.y})"


_LINES: dict[type[Step], Callable[[_Call], Iterator[str]]] = {
    Affine: _affine, Pad: _pad, Patches: _patches, Convolution: _convolution, Dense: _dense,
    LayerNorm: _layer_norm, Activation: _activation, Add: _add, Shift: _shift, Mean: _mean,
    MaxPool: _max_pool, Softmax: _softmax,
}  # fmt: skip


def _render(name: str, values: dict[str, Any]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, autoescape=False,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    return environment.get_template(name).render(values)
