"""The Mixer layer: mix over tokens, then over channels."""

from typing import Any

import keras
from keras import ops

from .block import Block, Steps
from .chip_operators import ChipOperators, ChipTensor
from .mlp_block import MlpBlock
from .torch_training import LayerNormalization
from .types import Shape, Tensor

NORM_POSITIONS = ("pre", "post", "none")


@keras.saving.register_keras_serializable("kmixer")
class MixerBlock(Block):
    """Token mixing, then channel mixing (Tolstikhin et al., arXiv 2105.01601, section 2, eq. 1).

    Args:
        tokens_mlp_dim: hidden width of the MLP over the tokens.
        channels_mlp_dim: hidden width of the MLP over the channels.
        output_dim: channels that leave the block; default as many as come in.
        skip_connections: add each MLP's input to its output; needs `output_dim` unchanged.
        norm_position: `"pre"` normalizes the input of each MLP, `"post"` its output (after the
            addition), `"none"` nothing.
        activation: of both MLPs; a name that `kmixer.layers.activation` knows.
        dropout: share of the hidden units of both MLPs dropped in training.
        stochastic_depth: probability of leaving out each MLP for an image in training
            (Huang et al., arXiv 1603.09382); needs skip connections.
        kernel_initializer: of the dense layers.
        norm_epsilon: of the layer norms; the original's is 1e-6.

    Shape: `(batch, tokens, channels)` → `(batch, tokens, output_dim)`.

    Raises:
        ValueError: `norm_position` is unknown, stochastic depth is set without skip connections,
            or (when built) the width changes in spite of skip connections.

    Example:
        >>> block = MixerBlock(tokens_mlp_dim=256, channels_mlp_dim=2048)
        >>> tokens = keras.random.normal((1, 49, 512))  # S/32: 7×7 patches of 224×224 pixels
        >>> tuple(block(tokens).shape)
        (1, 49, 512)
    """

    def __init__(
        self,
        tokens_mlp_dim: int,
        channels_mlp_dim: int,
        output_dim: int | None = None,
        skip_connections: bool = True,
        norm_position: str = "pre",
        activation: str = "gelu_tanh",
        dropout: float = 0.0,
        stochastic_depth: float = 0.0,
        kernel_initializer: str = "glorot_uniform",
        norm_epsilon: float = 1e-6,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if norm_position not in NORM_POSITIONS:
            raise ValueError(
                f"norm_position: received {norm_position!r}, expected one of {NORM_POSITIONS}"
            )
        if stochastic_depth and not skip_connections:
            raise ValueError(
                f"stochastic_depth: received {stochastic_depth}, expected 0 with"
                " skip_connections=False: nothing would be left of a block"
            )
        self.tokens_mlp_dim, self.channels_mlp_dim = tokens_mlp_dim, channels_mlp_dim
        self.output_dim, self.skip_connections = output_dim, skip_connections
        self.norm_position, self.activation, self.dropout = norm_position, activation, dropout
        self.stochastic_depth, self.norm_epsilon = stochastic_depth, norm_epsilon
        self.kernel_initializer = kernel_initializer

    def call(self, tokens: Tensor, training: bool | None = None) -> Tensor:
        y = self._normalize("pre", self.token_norm, tokens, training)
        y = self.token_mixing.call(ops.swapaxes(y, 1, 2), training)  # (batch, channels, tokens)
        tokens = self._add(tokens, ops.swapaxes(y, 1, 2), training)  # (batch, tokens, channels)
        tokens = self._normalize("post", self.token_norm, tokens, training)
        y = self._normalize("pre", self.channel_norm, tokens, training)
        tokens = self._add(tokens, self.channel_mixing.call(y, training), training)
        return self._normalize("post", self.channel_norm, tokens, training)

    def _normalize(
        self, position: str, norm: keras.layers.Layer, x: Tensor, training: bool | None
    ) -> Tensor:
        """Apply a norm where the block has its norms; `position` is before or after an MLP."""
        return norm.call(x, training) if self.norm_position == position else x

    def _add(self, tokens: Tensor, update: Tensor, training: bool | None) -> Tensor:
        """Return the skip connection's sum, or the update if the block has no such connections."""
        if not self.skip_connections:
            return update
        return tokens + self.drop_path.call(update, training)

    def build(self, input_shape: Shape) -> None:
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
        normalized = output_dim if self.norm_position == "post" else channels
        self.channel_norm.build((None, tokens, normalized))
        self.built = True

    def _mlp(self, name: str, mlp_dim: int, output_dim: int | None) -> MlpBlock:
        return MlpBlock(
            mlp_dim, output_dim, self.activation, self.dropout, self.kernel_initializer,
            name=name, dtype=self.dtype_policy,
        )  # fmt: skip

    def _norm(self, name: str) -> keras.layers.Layer:
        if self.norm_position == "none":
            return keras.layers.Identity(name=name, dtype=self.dtype_policy)
        return LayerNormalization(epsilon=self.norm_epsilon, name=name, dtype=self.dtype_policy)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.output_dim or input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        names = (
            "tokens_mlp_dim", "channels_mlp_dim", "output_dim", "skip_connections", "norm_position",
            "activation", "dropout", "stochastic_depth", "kernel_initializer", "norm_epsilon",
        )  # fmt: skip
        return super().get_config() | {name: getattr(self, name) for name in names}

    def flops(self) -> int:
        _, tokens, channels = self.input.shape
        return self.token_mixing.flops(channels) + self.channel_mixing.flops(tokens)

    def on_chip(self, operators: ChipOperators, x: ChipTensor) -> ChipTensor:
        pre, post = self.norm_position == "pre", self.norm_position == "post"
        y = operators.normalize(x) if pre else x
        y = self.token_mixing.on_chip(operators, operators.transpose(y))
        y = operators.transpose(y)
        x = operators.add(x, y) if self.skip_connections else y
        x = operators.normalize(x) if post else x
        y = operators.normalize(x, folded=True) if pre else x
        y = self.channel_mixing.on_chip(operators, y)
        x = operators.add(x, y) if self.skip_connections else y
        return operators.normalize(x) if post else x

    def append_steps(self, steps: Steps) -> None:
        for axis, (norm, mlp) in enumerate(
            [(self.token_norm, self.token_mixing), (self.channel_norm, self.channel_mixing)]
        ):
            start = steps.value
            if self.norm_position == "pre":
                steps.layer(norm)
            steps.layer(mlp.hidden, axis)
            steps.layer(mlp.output_dense, axis)
            if self.skip_connections:
                steps.skip(start)
            if self.norm_position == "post":
                steps.layer(norm)

    def summary(self) -> list[str]:
        before = "norm → " if self.norm_position == "pre" else ""
        after = " → norm" if self.norm_position == "post" else ""
        skip = " → + skip" if self.skip_connections else ""
        return [
            f"over {axis}: {before}{mlp.summary()}{skip}{after}"
            for axis, mlp in (("tokens", self.token_mixing), ("channels", self.channel_mixing))
        ]

    def token_mixing_kernel(self) -> Tensor:
        return self.token_mixing.hidden.kernel
