"""The integer operators that layers become on a microcontroller, noted from shapes alone.

The list follows what `kmixer export --format micro` writes: 8-bit tensors, one image, GELU as two
operators, a layer norm as the division by a vector's length.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from .activations import gelu_tanh

BIAS_BYTES = INDEX_BYTES = 4  # 32-bit integers
_FUSED = (keras.activations.linear, keras.activations.relu)  # into the operator before
_GATED = (keras.activations.gelu, keras.activations.silu, gelu_tanh)  # times a sigmoid


@dataclass
class ChipTensor:
    """A tensor of 8-bit integers in the working memory.

    Attributes:
        shape: without the batch's 1.
        first: the number of the operator that writes it.
        last: the number of the last one that reads it.
    """

    shape: tuple[int, ...]
    first: int
    last: int

    @property
    def bytes(self) -> int:
        """Its size."""
        return math.prod(self.shape)


@dataclass
class ChipOperators:
    """A list of operators that grows as layers are noted.

    Attributes:
        tensors: those in the working memory.
        constants: bytes of each tensor in flash, by name; one that several operators share has one.
        count: of the operators.
        channels: that products and convolutions write, all together.
        scales: those of them that have a scale of their own: of convolutions.
    """

    tensors: list[ChipTensor] = field(default_factory=list)
    constants: dict[str, int] = field(default_factory=dict)
    count: int = 0
    channels: int = 0
    scales: int = 0

    def start(self, shape: Sequence[int]) -> ChipTensor:
        """Return the image `(height, width, channels)` that goes in."""
        return self._tensor(shape)

    def add(
        self, *inputs: ChipTensor, shape: Sequence[int] | None = None, constants: Sequence[int] = ()
    ) -> ChipTensor:
        """Note an operator.

        Args:
            inputs: what it reads.
            shape: of what it writes; None: that of the first input.
            constants: bytes of each of its own constants.
        """
        for tensor in inputs:
            tensor.last = self.count
        for size in constants:
            self.constants[f"{len(self.constants)}"] = size
        output = self._tensor(inputs[0].shape if shape is None else shape)
        self.count += 1
        return output

    def matmul(self, x: ChipTensor, kernel: Any) -> ChipTensor:
        """Note the product with a kernel `(inputs, outputs)`: a convolution of one pixel."""
        return self._product(x, (*x.shape[:-1], kernel.shape[-1]), [math.prod(kernel.shape)])

    def convolve(self, x: ChipTensor, kernel: Sequence[int], shape: Sequence[int]) -> ChipTensor:
        """Note a convolution with a kernel of a shape; `shape` is of what it writes."""
        self.scales += kernel[-1]
        return self._product(x, shape, [math.prod(kernel)])

    def dense(self, x: ChipTensor, layer: keras.layers.Dense, scaled: bool = False) -> ChipTensor:
        """Note a dense layer with its activation; see `activate`."""
        y = self.matmul(x, layer.kernel)
        return self.activate(y, layer.activation, scaled)

    def activate(
        self, x: ChipTensor, function: Callable[[Any], Any] | None, scaled: bool = False
    ) -> ChipTensor:
        """Note an activation behind a product.

        Args:
            x: the product's output.
            function: the activation; None: none.
            scaled: whether GELU's factor is an operator of its own, since no product follows.
        """
        if function is None or function in _FUSED:
            return x
        if function not in _GATED:
            return self.add(x)
        x = self.add(x, self.add(x))
        is_scaled = scaled and function is not keras.activations.silu
        return self.add(x, constants=[1]) if is_scaled else x

    def normalize(self, x: ChipTensor, folded: bool = False) -> ChipTensor:
        """Note a layer norm over the last axis.

        Args:
            x: what is normalized.
            folded: whether its scale and offset go into a product behind it.
        """
        channels = x.shape[-1]
        self.constants[f"mean of {channels}"] = channels
        mean = self._product(x, (*x.shape[:-1], 1), [])
        x = self.add(self.add(x, mean))  # less its mean, over its length
        return x if folded else self.scale(x, channels)

    def scale(self, x: ChipTensor, width: int) -> ChipTensor:
        """Note the product with a constant and the sum with another, each of so many numbers."""
        return self.add(self.add(x, constants=[width]), constants=[width])

    def transpose(self, x: ChipTensor) -> ChipTensor:
        """Note that rows `(rows, columns)` become columns."""
        self.constants["permutation"] = 3 * INDEX_BYTES
        return self.add(x, shape=x.shape[::-1])

    def reshape(self, x: ChipTensor, shape: Sequence[int]) -> ChipTensor:
        """Note another shape of the same numbers, which are copied."""
        return self.add(x, shape=shape, constants=[INDEX_BYTES * (len(shape) + 1)])

    def slice(self, x: ChipTensor, shape: Sequence[int]) -> ChipTensor:
        """Note a part of a tensor; begin and end are constants, the strides of one are shared."""
        size = INDEX_BYTES * (len(shape) + 1)
        self.constants["strides"] = size
        return self.add(x, shape=shape, constants=[size, size])

    def pad(self, x: ChipTensor, shape: Sequence[int]) -> ChipTensor:
        """Note zeros around a tensor."""
        return self.add(x, shape=shape, constants=[2 * INDEX_BYTES * (len(shape) + 1)])

    def _product(self, x: ChipTensor, shape: Sequence[int], kernel: list[int]) -> ChipTensor:
        """Note a convolution, which has a bias for each channel, of zeros if need be."""
        self.channels += shape[-1]
        return self.add(x, shape=shape, constants=[*kernel, BIAS_BYTES * shape[-1]])

    def _tensor(self, shape: Sequence[int]) -> ChipTensor:
        self.tensors.append(ChipTensor(tuple(shape), self.count, self.count))
        return self.tensors[-1]
