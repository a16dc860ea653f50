"""The spatial-shift MLP's layers: within a block tokens meet because channels move."""

import keras
from keras import ops

from .activations import activation as resolve_activation

# Where each group of channels comes from: the eight neighbours and the token itself.
NEIGHBOURS = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]


@keras.saving.register_keras_serializable("kmixer")
class SpatialShift(keras.layers.Layer):
    """Shift nine groups of channels by one token, each in a direction of its own.

    As in S²-MLP (arXiv 2106.07477, section 3.2), with the diagonals and the place itself as well;
    zeros come in at the edges. It has no weights and costs no arithmetic.

    Shape: `(batch, rows, columns, channels)` → the same.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def call(self, x):  # (batch, rows, columns, channels)
        _, rows, columns, channels = x.shape
        padded = ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
        cuts = [round(i * channels / len(NEIGHBOURS)) for i in range(len(NEIGHBOURS) + 1)]
        shifted = [
            padded[:, 1 + down : 1 + down + rows, 1 + right : 1 + right + columns, first:last]
            for (down, right), first, last in zip(NEIGHBOURS, cuts, cuts[1:], strict=False)
        ]
        return ops.concatenate(shifted, axis=-1)

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable("kmixer")
class ShiftBlock(keras.layers.Layer):
    """LayerNorm → Dense → activation → `SpatialShift` → Dense, added to the input.

    S²-MLP (arXiv 2106.07477) has one MLP around the shift and another over the channels; here the
    shift stands between the two layers of the only one.

    Args:
        mlp_dim: width of the hidden layer.
        activation: of the hidden layer.
        stochastic_depth: probability of leaving the MLP out for an image in training
            (arXiv 1603.09382).
        kernel_initializer: of the dense layers.
        norm_epsilon: of the layer norm.

    Shape: `(batch, rows, columns, channels)` → the same.
    """

    def __init__(self, mlp_dim, activation="gelu_tanh", stochastic_depth=0.0,
                 kernel_initializer="glorot_uniform", norm_epsilon=1e-6, **kwargs):  # fmt: skip
        super().__init__(**kwargs)
        self.mlp_dim, self.activation, self.stochastic_depth = mlp_dim, activation, stochastic_depth
        self.kernel_initializer, self.norm_epsilon = kernel_initializer, norm_epsilon

    def build(self, input_shape):
        policy = {"dtype": self.dtype_policy}
        dense = policy | {"kernel_initializer": self.kernel_initializer}
        function = resolve_activation(self.activation)
        self.norm = keras.layers.LayerNormalization(
            epsilon=self.norm_epsilon, name="norm", **policy
        )
        self.hidden = keras.layers.Dense(self.mlp_dim, function, name="hidden", **dense)
        self.shift = SpatialShift(name="shift", **policy)
        self.project = keras.layers.Dense(input_shape[-1], name="project", **dense)
        self.drop_path = keras.layers.Dropout(
            self.stochastic_depth, noise_shape=(None, 1, 1, 1), name="drop_path", **policy
        )
        self.norm.build(input_shape)
        self.hidden.build(input_shape)
        self.project.build((*input_shape[:-1], self.mlp_dim))
        self.built = True

    def call(self, tokens, training=None):  # (batch, rows, columns, channels)
        y = self.hidden(self.norm(tokens))  # (batch, rows, columns, mlp_dim)
        y = self.project(self.shift(y))
        return tokens + self.drop_path(y, training=training)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        names = (
            "mlp_dim", "activation", "stochastic_depth", "kernel_initializer", "norm_epsilon",
        )  # fmt: skip
        return super().get_config() | {name: getattr(self, name) for name in names}
