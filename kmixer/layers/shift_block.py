"""The spatial-shift MLP's layers: tokens mix because channels are shifted."""

import math
from itertools import pairwise
from typing import Any

import keras
from keras import ops

from .activations import activation as resolve_activation
from .block import Block, Steps, matmul_flops
from .chip_operators import ChipOperators, ChipTensor
from .torch_training import Dense, LayerNormalization, shift_on_torch, trains_on_torch
from .types import Shape, Tensor

# (rows down, columns right) from which each group of channels comes: eight neighbors and (0, 0).
NEIGHBORS = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]


@keras.saving.register_keras_serializable("kmixer")
class SpatialShift(keras.layers.Layer):
    """Shift nine groups of channels by one token, each in another direction, one not at all.

    S²-MLP (Yu et al., arXiv 2106.07477, section 3.2) shifts four groups; here the diagonals and the
    unshifted group are added. Zeros come in at the edges. No weights, no arithmetic.

    Shape: `(batch, rows, columns, channels)` → the same.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        _, rows, columns, channels = x.shape  # (batch, rows, columns, channels)
        bounds = pairwise(_group_bounds(channels))
        groups = [(shift, *bound) for shift, bound in zip(NEIGHBORS, bounds, strict=True)]
        if trains_on_torch(training):
            return shift_on_torch(x, groups)
        padded = ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
        shifted = [
            padded[:, 1 + down : 1 + down + rows, 1 + right : 1 + right + columns, first:end]
            for (down, right), first, end in groups
        ]
        return ops.concatenate(shifted, axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def on_chip(self, operators: ChipOperators, x: ChipTensor) -> ChipTensor:
        """Note its operators; see `Block.on_chip`."""
        rows, columns, channels = x.shape
        padded = operators.pad(x, (rows + 2, columns + 2, channels))
        widths = [end - first for first, end in pairwise(_group_bounds(channels))]
        parts = [operators.slice(padded, (rows, columns, width)) for width in widths]
        return operators.add(*parts, shape=x.shape)


def _group_bounds(channels: int) -> list[int]:
    """Return where the groups of channels begin, and where the last one ends."""
    return [round(i * channels / len(NEIGHBORS)) for i in range(len(NEIGHBORS) + 1)]


@keras.saving.register_keras_serializable("kmixer")
class ShiftBlock(Block):
    """LayerNorm → Dense → activation → `SpatialShift` → Dense, added to the input.

    S²-MLP (arXiv 2106.07477, section 3.2) has one MLP around the shift and another over the
    channels; here the shift is between the two layers of a single MLP.

    Args:
        mlp_dim: width of the hidden layer.
        activation: of the hidden layer; a name that `kmixer.layers.activation` knows.
        stochastic_depth: probability of leaving the MLP out for an image in training
            (Huang et al., arXiv 1603.09382).
        kernel_initializer: of the dense layers.
        norm_epsilon: of the layer norm.

    Shape: `(batch, rows, columns, channels)` → the same.

    Example:
        >>> tuple(ShiftBlock(mlp_dim=128)(keras.random.normal((1, 13, 13, 64))).shape)
        (1, 13, 13, 64)
    """

    def __init__(
        self,
        mlp_dim: int,
        activation: str = "gelu_tanh",
        stochastic_depth: float = 0.0,
        kernel_initializer: str = "glorot_uniform",
        norm_epsilon: float = 1e-6,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mlp_dim, self.activation, self.stochastic_depth = mlp_dim, activation, stochastic_depth
        self.kernel_initializer, self.norm_epsilon = kernel_initializer, norm_epsilon

    def build(self, input_shape: Shape) -> None:
        policy = {"dtype": self.dtype_policy}
        dense = policy | {"kernel_initializer": self.kernel_initializer}
        function = resolve_activation(self.activation)
        self.norm = LayerNormalization(epsilon=self.norm_epsilon, name="norm", **policy)
        self.hidden = Dense(self.mlp_dim, function, name="hidden", **dense)
        self.shift = SpatialShift(name="shift", **policy)
        self.project = Dense(input_shape[-1], name="project", **dense)
        self.drop_path = keras.layers.Dropout(
            self.stochastic_depth, noise_shape=(None, 1, 1, 1), name="drop_path", **policy
        )
        self.norm.build(input_shape)
        self.hidden.build(input_shape)
        self.project.build((*input_shape[:-1], self.mlp_dim))
        self.built = True

    def call(self, tokens: Tensor, training: bool | None = None) -> Tensor:
        y = self.norm.call(tokens, training)
        y = self.hidden.call(y, training)  # (batch, rows, columns, mlp_dim)
        y = self.project.call(
            self.shift.call(y, training), training
        )  # (batch, rows, columns, channels)
        return tokens + self.drop_path.call(y, training)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        names = (
            "mlp_dim", "activation", "stochastic_depth", "kernel_initializer", "norm_epsilon",
        )  # fmt: skip
        return super().get_config() | {name: getattr(self, name) for name in names}

    def flops(self) -> int:
        positions = math.prod(self.input.shape[1:-1])
        return matmul_flops(positions, self.hidden, self.project)

    def on_chip(self, operators: ChipOperators, x: ChipTensor) -> ChipTensor:
        y = operators.dense(operators.normalize(x, folded=True), self.hidden, scaled=True)
        y = operators.dense(self.shift.on_chip(operators, y), self.project)
        return operators.add(x, y)

    def append_steps(self, steps: Steps) -> None:
        start = steps.value
        for layer in (self.norm, self.hidden, self.shift, self.project):
            steps.layer(layer)
        steps.skip(start)

    def summary(self) -> list[str]:
        channels = self.input.shape[-1]
        return [
            f"norm → dense {channels} → {self.mlp_dim} → {self.activation} → shift"
            f" → dense {self.mlp_dim} → {channels} → + skip"
        ]
