"""Keras' layers, trained on torch by PyTorch's own functions (docs/adr/0030).

The same weights under the same names, and the same functions of them. Keras adds a bias in a pass
of its own and normalizes in float32 copies, which XLA merges with what is around it; torch, which
runs one operation at a time, does not. Off training, and on the other backends, they are Keras'.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import keras
from keras import ops

from .types import Tensor

PACKAGE = "kmixer"
Groups = Sequence[tuple[tuple[int, int], int, int]]


def trains_on_torch(training: bool | None) -> bool:
    """Return whether this call is a training's on torch."""
    return bool(training) and keras.backend.backend() == "torch"


@keras.saving.register_keras_serializable(PACKAGE)
class Dense(keras.layers.Dense):
    """Keras' Dense; on torch, a training adds the bias while it multiplies.

    Shape: `(..., channels)` → `(..., units)`.

    Example:
        >>> tuple(Dense(10)(keras.random.normal((2, 16))).shape)
        (2, 10)
    """

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if not trains_on_torch(training):
            return super().call(inputs, training=training)
        x = _linear(inputs, self.kernel, self.bias)
        return x if self.activation is None else self.activation(x)


@keras.saving.register_keras_serializable(PACKAGE)
class LayerNormalization(keras.layers.LayerNormalization):
    """Keras' LayerNormalization over the last axis; on torch, a training copies nothing.

    Mean and variance are float32 sums in either case.

    Shape: unchanged.

    Example:
        >>> tuple(LayerNormalization()(keras.random.normal((2, 16))).shape)
        (2, 16)
    """

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if not trains_on_torch(training):
            return super().call(inputs)
        from torch.nn import functional

        weight, bias = map(ops.convert_to_tensor, (self.gamma, self.beta))
        inputs = ops.cast(inputs, self.compute_dtype)
        if not inputs.is_cpu:  # whose functions alone take weights of another type
            weight, bias = weight.to(inputs.dtype), bias.to(inputs.dtype)
        return functional.layer_norm(inputs, weight.shape, weight, bias, self.epsilon)


@keras.saving.register_keras_serializable(PACKAGE)
class Conv2D(keras.layers.Conv2D):
    """Keras' Conv2D of an image's patches; on torch, a training cuts them out and multiplies once.

    The gradient of the kernel of such a convolution takes a quarter of a large Mixer's step on some
    processors. Where its input has a gradient, too, the convolution is faster.

    Shape: `(batch, height, width, channels)` → `(batch, rows, columns, filters)`.

    Example:
        >>> tuple(Conv2D(8, 4, 4)(keras.random.normal((2, 28, 28, 1))).shape)
        (2, 7, 7, 8)
    """

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        (size, _), (stride, _) = self.kernel_size, self.strides
        if not trains_on_torch(training) or inputs.requires_grad:
            return super().call(inputs)
        patches = inputs.unfold(1, size, stride).unfold(
            2, size, stride
        )  # (…, channels, size, size)
        batch, rows, columns = patches.shape[:3]
        patches = patches.permute(0, 1, 2, 4, 5, 3).reshape(batch, rows, columns, -1)
        return _linear(patches, ops.reshape(self.kernel, (-1, self.filters)), self.bias)


def shift_on_torch(x: Any, groups: Groups) -> Any:
    """Shift groups of channels, and their gradients back, in one copy of each.

    The gradient of a slice is a tensor of zeros as large as all of `x`, for each group another one.

    Args:
        x: `(batch, rows, columns, channels)`.
        groups: ((rows down, columns right), first channel, end) from where each group comes.
    """
    return _shift_class().apply(x, groups)


@cache
def _shift_class() -> Any:
    import torch

    def moved(x: Any, groups: Groups, sign: int) -> Any:
        _, rows, columns, _ = x.shape
        y = torch.zeros_like(x)
        for (down, right), first, end in groups:
            (to_rows, from_rows), (to_columns, from_columns) = (
                _overlap(sign * down, rows), _overlap(sign * right, columns),
            )  # fmt: skip
            y[:, to_rows, to_columns, first:end] = x[:, from_rows, from_columns, first:end]
        return y

    class Shift(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, groups: Groups) -> Any:
            ctx.groups = groups
            return moved(x, groups, 1)

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            return moved(gradient, ctx.groups, -1), None

    return Shift


def _overlap(step: int, length: int) -> tuple[slice, slice]:
    """Return where `y[i] = x[i + step]` has both sides: the slices of y and of x."""
    return slice(max(-step, 0), length - max(step, 0)), slice(max(step, 0), length - max(-step, 0))


def _linear(inputs: Any, kernel: Any, bias: Any) -> Any:
    """Return `inputs @ kernel + bias` of torch's tensors or Keras' variables."""
    from torch.nn import functional

    kernel, bias = map(ops.convert_to_tensor, (kernel, bias))
    return functional.linear(inputs, kernel.T, bias)
