"""Two dense layers with a nonlinearity between them."""

from typing import Any

import keras

from .activations import activation as resolve_activation
from .block import matmul_flops
from .chip_operators import ChipOperators, ChipTensor
from .dropout import Dropout
from .torch_training import Dense
from .types import Shape, Tensor


@keras.saving.register_keras_serializable("kmixer")
class MlpBlock(keras.layers.Layer):
    """Dense → activation → Dropout → Dense on the last axis (arXiv 2105.01601, section 2, eq. 1).

    Args:
        mlp_dim: width of the hidden layer.
        output_dim: width of the output; default the input's.
        activation: a name that `kmixer.layers.activation` knows.
        dropout: share of the hidden units dropped in training.
        kernel_initializer: of both dense layers.

    Shape: `(..., channels)` → `(..., output_dim)`.

    Example:
        >>> tuple(MlpBlock(mlp_dim=64, output_dim=10)(keras.random.normal((2, 16))).shape)
        (2, 10)
    """

    def __init__(
        self,
        mlp_dim: int,
        output_dim: int | None = None,
        activation: str = "gelu_tanh",
        dropout: float = 0.0,
        kernel_initializer: str = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mlp_dim, self.output_dim, self.activation = mlp_dim, output_dim, activation
        self.dropout, self.kernel_initializer = dropout, kernel_initializer

    def build(self, input_shape: Shape) -> None:
        options = {"kernel_initializer": self.kernel_initializer, "dtype": self.dtype_policy}
        function = resolve_activation(self.activation)
        self.hidden = Dense(self.mlp_dim, function, name="hidden", **options)
        self.drop = Dropout(self.dropout, name="dropout", dtype=self.dtype_policy)
        self.output_dense = Dense(self.output_dim or input_shape[-1], name="output", **options)
        self.hidden.build(input_shape)
        self.output_dense.build((*input_shape[:-1], self.mlp_dim))
        self.built = True

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:  # (..., channels)
        x = self.hidden.call(inputs, training)  # (..., mlp_dim)
        x = self.drop.call(x, training)
        return self.output_dense.call(x, training)  # (..., output_dim)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.output_dim or input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        names = ("mlp_dim", "output_dim", "activation", "dropout", "kernel_initializer")
        return super().get_config() | {name: getattr(self, name) for name in names}

    def flops(self, positions: int) -> int:
        """Return the operations of the built layers at so many positions; see `Block.flops`."""
        return matmul_flops(positions, self.hidden, self.output_dense)

    def on_chip(self, operators: ChipOperators, x: ChipTensor) -> ChipTensor:
        """Note the built layers' operators; see `Block.on_chip`."""
        return operators.dense(operators.dense(x, self.hidden), self.output_dense)

    def summary(self) -> str:
        """Return the built layers as one line, such as `dense 49 → 256 → relu → dense 256 → 49`."""
        width, hidden = self.hidden.kernel.shape
        output = self.output_dense.kernel.shape[-1]
        return f"dense {width} → {hidden} → {self.activation} → dense {hidden} → {output}"
