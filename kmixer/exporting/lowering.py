"""A Keras model of any family → the steps of its forward pass for one image."""

from collections.abc import Callable, Sequence
from functools import singledispatch
from typing import Any, get_args

import keras
import numpy as np

from .. import layers
from ..config import model as model_settings
from ..errors import RunError
from ..layers.shift_block import NEIGHBORS
from .steps import (
    Activation,
    Add,
    Affine,
    Array,
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
    ValueShape,
)


def lower(model: keras.Model) -> list[Step]:
    """Return the steps from one uint8 image to its probabilities; dropout has none.

    Args:
        model: a built chain of layers, uint8 images → logits, as `kmixer.models` builds them.

    Raises:
        RunError: a layer or an activation is not known here, or a weight is no finite number.

    Example:
        >>> from kmixer.models import Mlp
        >>> [step.kind for step in lower(Mlp((8, 8, 1), 2, hidden_dims=[4]))]
        ['affine', 'dense', 'activation', 'dense', 'softmax']
    """
    chain = _Chain(tuple(model.input_shape[1:]))
    for layer in model.layers[1:]:  # every model is a chain; the first is its input
        chain.layer(layer)
    chain.append(Softmax, chain.shape)
    return chain.steps


class _Chain:
    """The steps so far.

    Attributes:
        steps: see `lower`.
        shape: of the last value.
    """

    def __init__(self, image_shape: ValueShape) -> None:
        self.steps: list[Step] = []
        self.shape = image_shape

    @property
    def value(self) -> int:
        """The number of the last value."""
        return len(self.steps)

    def append(self, kind: Callable[..., Step], shape: ValueShape, *arguments: Any) -> None:
        """Append a step that takes the last value."""
        self.steps.append(kind(self.shape, shape, *arguments))
        self.shape = shape

    def layer(self, layer: keras.layers.Layer, axis: int | None = None) -> None:
        """Append a layer's steps; see `kmixer.layers.block.Steps`."""
        if axis is None:
            _lower(layer, self)
        else:
            _dense_along(layer, self, axis)

    def dense(self, kernel: Array, bias: Array | None, axis: int) -> None:
        """Append a product along an axis."""
        shape = (*self.shape[:axis], kernel.shape[1], *self.shape[axis + 1 :])
        self.append(Dense, shape, axis, kernel, bias)

    def activation(self, function: Callable[..., Any]) -> None:
        """Append an activation; none for the linear one."""
        name = _activation_name(function)
        if name != "linear":
            self.append(Activation, self.shape, name)

    def skip(self, other: int) -> None:
        """Append a skip connection from an earlier value."""
        self.append(Add, self.shape, other)


def _activation_name(function: Callable[..., Any]) -> str:
    for name in get_args(model_settings.Activation):
        if function is layers.activation(name):
            return str(name)
    raise RunError(f"the activation {getattr(function, '__name__', function)!r} has no steps")


def _array(weight: Any) -> Array:
    array = np.asarray(keras.ops.convert_to_numpy(weight), np.float32)
    if not np.isfinite(array).all():
        raise RunError(f"the weights {weight.path} are not all finite numbers")
    return array


def _bias(layer: keras.layers.Layer) -> Array | None:
    return _array(layer.bias) if layer.use_bias else None


@singledispatch
def _lower(layer: keras.layers.Layer, chain: _Chain) -> None:
    """Append a layer's steps."""
    raise RunError(f"the layer {layer.name!r} of class {type(layer).__name__} has no steps")


@_lower.register(keras.layers.Dropout)
@_lower.register(layers.Dropout)
@_lower.register(keras.layers.Identity)
def _nothing(layer: keras.layers.Layer, chain: _Chain) -> None:
    pass


@_lower.register(keras.layers.Reshape)
@_lower.register(keras.layers.Flatten)
def _reshape(layer: keras.layers.Layer, chain: _Chain) -> None:
    chain.shape = tuple(layer.output.shape[1:])


@_lower.register
def _resize_crop(layer: layers.ResizeCrop, chain: _Chain) -> None:
    for axis, weights in enumerate((layer._row_weights, layer._column_weights)):
        chain.dense(np.ascontiguousarray(weights.T), None, axis)


@_lower.register
def _rescaling(layer: keras.layers.Rescaling, chain: _Chain) -> None:
    channels = chain.shape[-1:]
    scale, offset = (
        np.broadcast_to(np.asarray(values, np.float32), channels)
        for values in (layer.scale, layer.offset)
    )
    chain.append(Affine, chain.shape, len(chain.shape) - 1, scale, offset)


@_lower.register
def _batch_norm(layer: keras.layers.BatchNormalization, chain: _Chain) -> None:
    """Fold the statistics of the training into one product and one sum, as Keras does."""
    (axis,) = np.atleast_1d(layer.axis) % (len(chain.shape) + 1)
    mean, variance = _array(layer.moving_mean), _array(layer.moving_variance)
    scale = _array(layer.gamma) / np.sqrt(variance + np.float32(layer.epsilon))
    chain.append(Affine, chain.shape, int(axis) - 1, scale, _array(layer.beta) - mean * scale)


@_lower.register
def _zero_padding(layer: keras.layers.ZeroPadding2D, chain: _Chain) -> None:
    _pad(chain, *layer.padding)


@_lower.register
def _cropping(layer: keras.layers.Cropping2D, chain: _Chain) -> None:
    _pad(chain, *[(-before, -after) for before, after in layer.cropping])


def _pad(chain: _Chain, rows: Sequence[int], columns: Sequence[int]) -> None:
    height, width, channels = chain.shape
    shape = height + sum(rows), width + sum(columns), channels
    if shape != chain.shape:
        chain.append(Pad, shape, tuple(rows), tuple(columns))


@_lower.register
def _patches(layer: layers.Patches, chain: _Chain) -> None:
    shape = *_grid(chain.shape, layer.size, layer.stride), layer.size**2 * chain.shape[-1]
    chain.append(Patches, shape, layer.size, layer.stride)
    chain.shape = tuple(layer.output.shape[1:])


def _grid(shape: ValueShape, size: int, stride: int) -> ValueShape:
    return tuple((side - size) // stride + 1 for side in shape[:2])


@_lower.register
def _convolution(layer: keras.layers.Conv2D, chain: _Chain) -> None:
    sizes, strides = {*layer.kernel_size}, {*layer.strides}
    if len(sizes) > 1 or len(strides) > 1 or layer.groups > 1 or {*layer.dilation_rate} != {1}:
        raise RunError(f"the layer {layer.name!r} is a convolution of a kind that has no steps")
    (size,), (stride,) = sizes, strides
    if layer.padding == "same":
        before = (size - 1) // 2  # of stride 1; Keras adds the odd one behind
        _pad(chain, *[(before, size - 1 - before)] * 2)
    kernel = _array(layer.kernel).reshape(-1, layer.filters)
    shape = *_grid(chain.shape, size, stride), layer.filters
    chain.append(Convolution, shape, size, stride, kernel, _bias(layer))
    chain.activation(layer.activation)


@_lower.register
def _dense(layer: keras.layers.Dense, chain: _Chain) -> None:
    _dense_along(layer, chain, len(chain.shape) - 1)


def _dense_along(layer: keras.layers.Dense, chain: _Chain, axis: int) -> None:
    chain.dense(_array(layer.kernel), _bias(layer), axis)
    chain.activation(layer.activation)


@_lower.register
def _layer_norm(layer: keras.layers.LayerNormalization, chain: _Chain) -> None:
    gamma, beta = _array(layer.gamma), _array(layer.beta)
    chain.append(LayerNorm, chain.shape, gamma, beta, float(layer.epsilon))


@_lower.register
def _activation(layer: keras.layers.Activation, chain: _Chain) -> None:
    chain.activation(layer.activation)


@_lower.register
def _max_pooling(layer: keras.layers.MaxPooling2D, chain: _Chain) -> None:
    (size,) = {*layer.pool_size, *layer.strides}
    chain.append(MaxPool, (*_grid(chain.shape, size, size), chain.shape[-1]), size)


@_lower.register(keras.layers.GlobalAveragePooling1D)
@_lower.register(keras.layers.GlobalAveragePooling2D)
def _mean(layer: keras.layers.Layer, chain: _Chain) -> None:
    chain.append(Mean, chain.shape[-1:])


@_lower.register
def _block(block: layers.Block, chain: _Chain) -> None:
    block.append_steps(chain)


@_lower.register
def _shift(layer: layers.shift_block.SpatialShift, chain: _Chain) -> None:
    count = len(NEIGHBORS)
    bounds = [round(index * chain.shape[-1] / count) for index in range(count + 1)]
    groups = [
        (down, right, first, end)
        for (down, right), first, end in zip(NEIGHBORS, bounds, bounds[1:], strict=False)
    ]
    chain.append(Shift, chain.shape, tuple(groups))
