"""The Mixer layer: mix over tokens, then over channels."""

import keras
from keras import ops

from .mlp_block import MlpBlock

NORM_POSITIONS = ("pre", "post", "none")


@keras.saving.register_keras_serializable("kmixer")
class MixerBlock(keras.layers.Layer):
    """Token mixing, then channel mixing (arXiv 2105.01601, section 2, eq. 1).

    Args:
        tokens_mlp_dim: hidden width of the MLP over the tokens.
        channels_mlp_dim: hidden width of the MLP over the channels.
        output_dim: channels that leave the block; default as many as come in.
        skip_connections: add each MLP's input to its output; needs `output_dim` unchanged.
        norm_position: `"pre"` normalises what goes into each MLP, `"post"` what comes out of it
            (after the addition), `"none"` nothing.
        activation: of both MLPs.
        dropout: inside both MLPs.
        stochastic_depth: probability of leaving out each MLP for an image in training
            (arXiv 1603.09382); needs skip connections.
        kernel_initializer: of the dense layers.
        norm_epsilon: of the layer norms; the original's is 1e-6.

    Shape: `(batch, tokens, channels)` → `(batch, tokens, output_dim)`.

    Raises:
        ValueError: the width changes, or stochastic depth is asked for, against skip connections.
    """

    def __init__(self, tokens_mlp_dim, channels_mlp_dim, output_dim=None, skip_connections=True,
                 norm_position="pre", activation="gelu_tanh", dropout=0.0, stochastic_depth=0.0,
                 kernel_initializer="glorot_uniform", norm_epsilon=1e-6, **kwargs):  # fmt: skip
        super().__init__(**kwargs)
        if norm_position not in NORM_POSITIONS:
            raise ValueError(
                f"norm_position: received {norm_position!r}, expected one of {NORM_POSITIONS}"
            )
        if stochastic_depth and not skip_connections:
            raise ValueError("stochastic_depth needs skip_connections: nothing else would be left")
        self.tokens_mlp_dim, self.channels_mlp_dim = tokens_mlp_dim, channels_mlp_dim
        self.output_dim, self.skip_connections = output_dim, skip_connections
        self.norm_position, self.activation, self.dropout = norm_position, activation, dropout
        self.stochastic_depth, self.norm_epsilon = stochastic_depth, norm_epsilon
        self.kernel_initializer = kernel_initializer

    def build(self, input_shape):
        _, tokens, channels = input_shape
        output_dim = self.output_dim or channels
        if self.skip_connections and output_dim != channels:
            raise ValueError(
                f"output_dim: received {output_dim}, expected {channels} as the input has, or"
                " skip_connections=False"
            )
        self.token_mixing = self._mlp("token_mixing", self.tokens_mlp_dim, tokens)
        self.channel_mixing = self._mlp("channel_mixing", self.channels_mlp_dim, output_dim)
        self.token_norm, self.channel_norm = self._norm("token_norm"), self._norm("channel_norm")
        self.drop_path = keras.layers.Dropout(
            self.stochastic_depth,
            noise_shape=(None, 1, 1),
            name="drop_path",
            dtype=self.dtype_policy,
        )
        self.token_mixing.build((None, channels, tokens))
        self.channel_mixing.build((None, tokens, channels))
        self.token_norm.build((None, tokens, channels))
        after = output_dim if self.norm_position == "post" else channels
        self.channel_norm.build((None, tokens, after))
        self.built = True

    def _mlp(self, name, mlp_dim, output_dim):
        return MlpBlock(
            mlp_dim, output_dim, self.activation, self.dropout, self.kernel_initializer,
            name=name, dtype=self.dtype_policy,
        )  # fmt: skip

    def _norm(self, name):
        if self.norm_position == "none":
            return keras.layers.Identity(name=name, dtype=self.dtype_policy)
        return keras.layers.LayerNormalization(
            epsilon=self.norm_epsilon, name=name, dtype=self.dtype_policy
        )

    def call(self, tokens, training=None):  # (batch, tokens, channels)
        tokens = self._mix(tokens, self._mix_tokens, self.token_norm, training)
        return self._mix(tokens, self.channel_mixing, self.channel_norm, training)

    def _mix_tokens(self, tokens, training):
        y = ops.swapaxes(tokens, 1, 2)  # (batch, channels, tokens)
        y = self.token_mixing(y, training=training)
        return ops.swapaxes(y, 1, 2)

    def _mix(self, tokens, mlp, norm, training):
        pre = self.norm_position != "post"
        y = mlp(norm(tokens) if pre else tokens, training=training)
        if self.skip_connections:
            y = tokens + self.drop_path(y, training=training)
        return y if pre else norm(y)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.output_dim or input_shape[-1])

    def get_config(self):
        names = (
            "tokens_mlp_dim", "channels_mlp_dim", "output_dim", "skip_connections", "norm_position",
            "activation", "dropout", "stochastic_depth", "kernel_initializer", "norm_epsilon",
        )  # fmt: skip
        return super().get_config() | {name: getattr(self, name) for name in names}
