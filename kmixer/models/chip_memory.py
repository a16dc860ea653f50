"""What a model needs on a microcontroller: bytes of flash and of working memory, from its shapes.

TensorFlow Lite Micro keeps every tensor that is still to be read in one arena, beside what it notes
about tensors and operators; its own interpreter measures both after an export (docs/adr/0038).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from ..layers import Block, Patches, ResizeCrop
from ..layers.chip_operators import INDEX_BYTES, ChipOperators, ChipTensor

ALIGNMENT = 16  # bytes; of tensors in flash and in the arena
# Bytes of what describes a tensor, an operator, a channel (in the file: a scale), and the rest: the
# least squares of 23 exported models of all families. In the file, and in the arena of a machine
# with 64-bit pointers.
FILE_BYTES = (78, 61, 24, 493)
ARENA_BYTES = (64, 67, 8, 619)


@dataclass(frozen=True)
class ChipMemory:
    """What a model needs, estimated before it is trained.

    Attributes:
        flash: bytes of the file with its weights; the interpreter's code comes to it.
        arena: bytes of working memory.
    """

    flash: int
    arena: int


def chip_memory(model: keras.Model) -> ChipMemory:
    """Estimate what `kmixer export --format micro` would measure.

    Args:
        model: a chain of layers, as the builders of this package return it; its variables need no
            values.

    Raises:
        TypeError: a layer is of a kind whose operators are not known.

    Example:
        >>> from kmixer.models import Mlp
        >>> chip_memory(Mlp((28, 28, 1), 10, hidden_dims=[100]))
        ChipMemory(flash=82009, arena=3397)
    """
    operators = ChipOperators()
    x = operators.start(model.input_shape[1:])
    layers = model.layers[1:]
    for index, layer in enumerate(layers):
        x = _note(operators, x, layer, layers[index + 1 :])
    operators.add(operators.reshape(x, x.shape))  # softmax of the logits
    counts = len(operators.tensors) + len(operators.constants), operators.count
    weights = sum(_aligned(size) for size in operators.constants.values())
    return ChipMemory(
        weights + _total(FILE_BYTES, (*counts, operators.scales, 1)),
        planned_bytes(operators.tensors) + _total(ARENA_BYTES, (*counts, operators.channels, 1)),
    )


def planned_bytes(tensors: Sequence[ChipTensor]) -> int:
    """Return the bytes in which tensors find place, by TensorFlow Lite Micro's greedy plan.

    The largest comes first, of equal ones the last; each goes to the lowest gap between those that
    it meets (`GreedyMemoryPlanner` in tensorflow/lite/micro/memory_planner/).

    Args:
        tensors: the tensors, with the operators that write and read them.
    """
    placed: list[tuple[int, ChipTensor]] = []  # where it begins
    for tensor in sorted(reversed(tensors), key=lambda tensor: -tensor.bytes):
        begin = 0
        for other_begin, other in sorted(placed, key=lambda place: place[0]):
            if other.last < tensor.first or other.first > tensor.last:
                continue
            if begin + _aligned(tensor.bytes) <= other_begin:
                break
            begin = max(begin, other_begin + _aligned(other.bytes))
        placed.append((begin, tensor))
    return max((begin + _aligned(tensor.bytes) for begin, tensor in placed), default=0)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _total(weights: Sequence[int], counts: Sequence[int]) -> int:
    return sum(weight * count for weight, count in zip(weights, counts, strict=True))


def _note(
    operators: ChipOperators,
    x: ChipTensor,
    layer: keras.layers.Layer,
    following: Sequence[keras.layers.Layer],
) -> ChipTensor:
    """Note the operators of one layer and return what it writes."""
    if isinstance(layer, Block):
        return layer.on_chip(operators, x)
    for kind, note in _LAYERS.items():
        if isinstance(layer, kind):
            return note(operators, x, layer, following)
    if not layer.count_params() and tuple(layer.output.shape[1:]) == x.shape:
        return x  # dropout, for instance
    raise TypeError(f"chip_memory: the operators of a {type(layer).__name__} are not known")


def _rescaling(o: ChipOperators, x: ChipTensor, layer: Any, following: Any) -> ChipTensor:
    """A convolution takes in the factor and the offset of one channel; nothing else does."""
    channels = x.shape[-1]
    if channels == 1 and isinstance(following[0], keras.layers.Conv2D | Patches):
        return x
    return o.scale(x, channels)


def _conv(o: ChipOperators, x: ChipTensor, layer: Any, following: Any) -> ChipTensor:
    return o.convolve(x, layer.kernel.shape, layer.output.shape[1:])


def _patches(o: ChipOperators, x: ChipTensor, layer: Any, following: Any) -> ChipTensor:
    """Patches are cut by a convolution whose kernel has a one for each pixel."""
    channels, pixels = x.shape[-1], layer.size**2 * x.shape[-1]
    shape = (*layer.grid((None, *x.shape)), pixels)
    x = o.convolve(x, (layer.size, layer.size, channels, pixels), shape)
    return o.reshape(x, layer.output.shape[1:])


def _norm_over_batches(o: ChipOperators, x: ChipTensor, layer: Any, following: Any) -> ChipTensor:
    """A convolution takes in what has a number for each of its channels."""
    if layer.axis in (-1, len(x.shape)):
        return x
    return o.scale(x, x.shape[layer.axis - 1])


def _activation(o: ChipOperators, x: ChipTensor, layer: Any, following: Any) -> ChipTensor:
    return o.activate(x, layer.activation, scaled=True)


def _resize_crop(o: ChipOperators, x: ChipTensor, layer: Any, following: Any) -> ChipTensor:
    """Both sides are scaled by the product with a matrix."""
    rows, columns, channels = layer.output.shape[1:]
    kernels = x.shape[0] * rows, x.shape[1] * columns
    x = o.add(x, constants=[4 * INDEX_BYTES])
    x = o.add(x, shape=(x.shape[1], channels, rows), constants=[kernels[0]])
    x = o.add(x, constants=[4 * INDEX_BYTES])
    x = o.add(x, shape=(rows, channels, columns), constants=[kernels[1]])
    return o.reshape(x, (rows, columns, channels))


_Note = Callable[[ChipOperators, ChipTensor, Any, Sequence[keras.layers.Layer]], ChipTensor]
_LAYERS: dict[type, _Note] = {
    keras.layers.Rescaling: _rescaling,
    keras.layers.Conv2D: _conv,
    keras.layers.Dense: lambda o, x, layer, following: o.dense(x, layer),
    keras.layers.LayerNormalization: lambda o, x, layer, following: o.normalize(x),
    keras.layers.BatchNormalization: _norm_over_batches,
    keras.layers.Activation: _activation,
    keras.layers.Reshape: lambda o, x, layer, following: o.reshape(x, layer.output.shape[1:]),
    keras.layers.Flatten: lambda o, x, layer, following: o.reshape(x, layer.output.shape[1:]),
    keras.layers.ZeroPadding2D: lambda o, x, layer, following: o.pad(x, layer.output.shape[1:]),
    keras.layers.Cropping2D: lambda o, x, layer, following: o.slice(x, layer.output.shape[1:]),
    keras.layers.MaxPooling2D: lambda o, x, layer, following: o.add(
        x, shape=layer.output.shape[1:]
    ),
    keras.layers.GlobalAveragePooling1D: lambda o, x, layer, following: o.add(
        x, shape=layer.output.shape[1:], constants=[INDEX_BYTES]
    ),
    keras.layers.GlobalAveragePooling2D: lambda o, x, layer, following: o.add(
        x, shape=layer.output.shape[1:], constants=[2 * INDEX_BYTES]
    ),
    Patches: _patches,
    ResizeCrop: _resize_crop,
}
