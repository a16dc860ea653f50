"""Two dense layers with a nonlinearity between them."""

import keras

from .activations import activation as resolve_activation
from .dropout import Dropout


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
    """

    def __init__(self, mlp_dim, output_dim=None, activation="gelu_tanh", dropout=0.0,
                 kernel_initializer="glorot_uniform", **kwargs):  # fmt: skip
        super().__init__(**kwargs)
        self.mlp_dim, self.output_dim, self.activation = mlp_dim, output_dim, activation
        self.dropout, self.kernel_initializer = dropout, kernel_initializer

    def build(self, input_shape):
        initial = {"kernel_initializer": self.kernel_initializer, "dtype": self.dtype_policy}
        function = resolve_activation(self.activation)
        self.hidden = keras.layers.Dense(self.mlp_dim, function, name="hidden", **initial)
        self.drop = Dropout(self.dropout, name="dropout", dtype=self.dtype_policy)
        self.output_dense = keras.layers.Dense(
            self.output_dim or input_shape[-1], name="output", **initial
        )
        self.hidden.build(input_shape)
        self.output_dense.build((*input_shape[:-1], self.mlp_dim))
        self.built = True

    def call(self, inputs, training=None):  # (..., channels)
        x = self.hidden(inputs)  # (..., mlp_dim)
        x = self.drop(x, training=training)
        return self.output_dense(x)  # (..., output_dim)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.output_dim or input_shape[-1])

    def get_config(self):
        return super().get_config() | {
            "mlp_dim": self.mlp_dim,
            "output_dim": self.output_dim,
            "activation": self.activation,
            "dropout": self.dropout,
            "kernel_initializer": self.kernel_initializer,
        }
