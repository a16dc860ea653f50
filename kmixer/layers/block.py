"""What every block of a model tells about itself."""

import math
from typing import Protocol

import keras

from .chip_operators import ChipOperators, ChipTensor
from .types import Tensor


class Steps(Protocol):
    """The steps of a forward pass so far, for formats that compute it themselves."""

    @property
    def value(self) -> int:
        """The number of the last value, for `skip`."""

    def layer(self, layer: keras.layers.Layer, axis: int | None = None) -> None:
        """Append a layer's steps; of a dense layer, along an axis of the value (default: last)."""

    def skip(self, other: int) -> None:
        """Append the sum with an earlier value."""


class Block(keras.layers.Layer):
    """A layer that a model repeats: one Mixer layer, for instance.

    Fine-tuning freezes blocks and slows them down one by one, `count_flops` and the diagram ask
    each for its cost and its contents, some export formats for its steps, and the report draws its
    token mixing. A new kind of block
    says all of it here, and nothing else has to know the kind.

    A block calls its layers by `call`: what `__call__` does beside it, such as casting, is done for
    the block already, and would take a tenth of a small model's step on torch.
    """

    def flops(self) -> int:
        """Return the floating-point operations of one image's forward pass, in a built model.

        2 per multiply-add of the matrices; norms, activations and additions are left out.
        """
        raise NotImplementedError(f"{type(self).__name__}.flops")

    def append_steps(self, steps: Steps) -> None:
        """Append what the block computes for one image, whose value has no batch axis."""
        raise NotImplementedError(f"{type(self).__name__}.append_steps")

    def summary(self) -> list[str]:
        """Return one line for each path through the block, for the model's diagram."""
        return []

    def on_chip(self, operators: ChipOperators, x: ChipTensor) -> ChipTensor:
        """Note the built block's operators on a microcontroller, in `call`'s order."""
        raise NotImplementedError(f"{type(self).__name__}.on_chip")

    def token_mixing_kernel(self) -> Tensor | None:
        """Return the weights `(tokens, hidden units)` that mix tokens; None if there are none."""
        return None


def matmul_flops(positions: int, *layers: keras.layers.Layer) -> int:
    """Return the operations of dense or convolutional layers: 2 per multiply-add.

    Args:
        positions: how often an image applies each kernel: tokens, or output pixels.
        layers: built layers with a `kernel`.
    """
    return 2 * positions * sum(math.prod(layer.kernel.shape) for layer in layers)
