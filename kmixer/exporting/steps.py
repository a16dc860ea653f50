"""A model as a plain list of steps, for writers that compute the forward pass themselves.

Each step takes the value before it and gives the next; the first value is one image. All shapes are
known and have no batch. Values are numbered: 0 is the image, and n what the n-th step gives. Where
a step's `input_shape` is not the shape of the value before it, the same numbers in the same
(row-major) order are meant. `kmixer.exporting.lowering` makes the list from a Keras model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import prod
from typing import Any, ClassVar

import numpy as np

Array = np.ndarray
ValueShape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Step:
    """The base of all steps.

    Attributes:
        kind: the name of the step in a description.
        input_shape: of the value that it takes.
        shape: of the value that it gives.
    """

    kind: ClassVar[str]
    input_shape: ValueShape
    shape: ValueShape

    @property
    def arrays(self) -> dict[str, Array]:
        """Its weights by their names, float32."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Array)}


@dataclass(frozen=True, eq=False)
class Affine(Step):
    """x · scale + offset, with one of each for every index of an axis: pixels, batch norms.

    Attributes:
        axis: of the value, as NumPy counts from the front.
        scale: `(input_shape[axis],)`.
        offset: `(input_shape[axis],)`.
    """

    kind: ClassVar[str] = "affine"
    axis: int
    scale: Array
    offset: Array


@dataclass(frozen=True, eq=False)
class Pad(Step):
    """Add rows and columns of zeros around `(rows, columns, channels)`; fewer than 0: take away.

    Attributes:
        rows: how many above and below.
        columns: how many left and right.
    """

    kind: ClassVar[str] = "pad"
    rows: tuple[int, int]
    columns: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Patches(Step):
    """`(rows, columns, channels)` → the flattened squares of it, `(…, …, size²·channels)`.

    Attributes:
        size: side of a square; its numbers are in the order rows, columns, channels.
        stride: from one square to the next; with less than `size` they overlap.
    """

    kind: ClassVar[str] = "patches"
    size: int
    stride: int


@dataclass(frozen=True, eq=False)
class Convolution(Step):
    """`Patches`, and a `Dense` of each, without the patches of the whole value in memory.

    Attributes:
        size: see `Patches`.
        stride: see `Patches`.
        kernel: `(size²·channels, filters)`.
        bias: `(filters,)`, or None.
    """

    kind: ClassVar[str] = "convolution"
    size: int
    stride: int
    kernel: Array
    bias: Array | None


@dataclass(frozen=True, eq=False)
class Dense(Step):
    """The product of an axis with a kernel, plus the bias: of channels, tokens, rows or columns.

    With the value seen as `(outer, n, inner)` around the axis:
    y[o, j, i] = Σₖ kernel[k, j] · x[o, k, i] + bias[j].

    Attributes:
        axis: of the value, as NumPy counts from the front; the last mixes channels, the first of
            `(tokens, channels)` mixes tokens without a transpose.
        kernel: `(input_shape[axis], shape[axis])`.
        bias: `(shape[axis],)`, or None.
    """

    kind: ClassVar[str] = "dense"
    axis: int
    kernel: Array
    bias: Array | None


@dataclass(frozen=True, eq=False)
class LayerNorm(Step):
    """(x - mean) / √(variance + epsilon) · gamma + beta, over the last axis.

    Attributes:
        gamma: `(channels,)`.
        beta: `(channels,)`.
        epsilon: added to the variance, which is the mean of the squares.
    """

    kind: ClassVar[str] = "layer_norm"
    gamma: Array
    beta: Array
    epsilon: float


@dataclass(frozen=True, eq=False)
class Activation(Step):
    """A function of each number.

    Attributes:
        name: one of `kmixer.config.model.Activation`, except `linear`; `leaky_relu` has the slope
            0.2, `gelu` is the one with erf.
    """

    kind: ClassVar[str] = "activation"
    name: str


@dataclass(frozen=True, eq=False)
class Add(Step):
    """Add an earlier value: a skip connection.

    Attributes:
        other: the number of that value, which has as many numbers, in the same order.
    """

    kind: ClassVar[str] = "add"
    other: int


@dataclass(frozen=True, eq=False)
class Shift(Step):
    """Shift groups of channels of `(rows, columns, channels)`; zeros come in at the edges.

    y[r, c, first:end] = x[r + down, c + right, first:end].

    Attributes:
        groups: (down, right, first, end) each; together they are all channels, in order.
    """

    kind: ClassVar[str] = "shift"
    groups: tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True, eq=False)
class Mean(Step):
    """The mean over all axes but the last."""

    kind: ClassVar[str] = "mean"


@dataclass(frozen=True, eq=False)
class MaxPool(Step):
    """The largest of each square of `(rows, columns, channels)`; what fills none is left out.

    Attributes:
        size: side of a square, and the step to the next.
    """

    kind: ClassVar[str] = "max_pool"
    size: int


@dataclass(frozen=True, eq=False)
class Softmax(Step):
    """eˣ / Σ eˣ: the last step of every list."""

    kind: ClassVar[str] = "softmax"


def describe(steps: Sequence[Step]) -> tuple[dict[str, Any], bytes]:
    """Return steps as a description that JSON takes, and all their weights in one piece.

    Returns:
        `input_shape`, the list `steps` and the number of `weights`. A step has its `kind` and its
        attributes; an array is `{"offset", "shape"}`, the offset counted in numbers. Then the
        weights, float32 in little-endian order.
    """
    weights: list[Array] = []
    described = [_describe(step, weights) for step in steps]
    blob = np.concatenate([array.ravel() for array in weights]) if weights else np.zeros(0)
    description = {
        "input_shape": list(steps[0].input_shape), "steps": described, "weights": blob.size,
    }  # fmt: skip
    return description, blob.astype("<f4").tobytes()


def _describe(step: Step, weights: list[Array]) -> dict[str, Any]:
    described: dict[str, Any] = {"kind": step.kind}
    for field in fields(step):
        value = getattr(step, field.name)
        if isinstance(value, Array):
            offset = sum(array.size for array in weights)
            weights.append(value)
            value = {"offset": offset, "shape": list(value.shape)}
        described[field.name] = value
    return described


def around(shape: ValueShape, axis: int) -> tuple[int, int, int]:
    """Return (outer, n, inner): how many numbers lie before, along and behind an axis.

    Example:
        >>> around((49, 128), 0), around((49, 128), 1)
        ((1, 49, 128), (49, 128, 1))
    """
    return prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])


def count_weights(steps: Sequence[Step]) -> int:
    """Return how many numbers all arrays of the steps hold."""
    return sum(array.size for step in steps for array in step.arrays.values())
