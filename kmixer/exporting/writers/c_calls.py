"""The C functions that the steps of a model call, with their arguments; `c/model.h` has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from ..memory_plan import IN_PLACE, MemoryPlan
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
)


def function_name(step: Step) -> str:
    """Return the name of a step's function, without the model's; an activation has its own."""
    is_along = isinstance(step, Dense) and around(step.input_shape, step.axis)[2] > 1
    return "dense_along" if is_along else step.kind


def calls(steps: Sequence[Step], plan: MemoryPlan, prefix: str) -> Iterator[dict[str, Any]]:
    """Yield each step's `comment` and its `lines` of C.

    Args:
        steps: of the forward pass.
        plan: where their values lie.
        prefix: what each name in the header begins with.
    """
    for number, step in enumerate(steps, 1):
        x = f"scratch + {plan.values[number - 1]}"
        y = f"scratch + {plan.values[number]}" if number < len(steps) else "probabilities"
        lines, count = [], prod(step.shape)
        if isinstance(step, IN_PLACE) and not plan.in_place(number):
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
    yield f"{function_name(step)}({call.x}, {sizes}, {step.kernel.shape[1]}, {weights}, {call.y})"


def _layer_norm(call: _Call) -> Iterator[str]:
    step = call.step
    rows, n, _ = around(step.shape, len(step.shape) - 1)
    weights = f"{call.weights('gamma')}, {call.weights('beta')}, {np.float32(step.epsilon)!s}f"
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
