"""MLP-Mixer (Tolstikhin et al., arXiv 2105.01601) and its small relatives, as one Keras model."""

from collections.abc import Sequence

import keras

from ..layers import (
    Conv2D,
    Dropout,
    LayerNormalization,
    MixerBlock,
    Patches,
    initializer,
    patch_grid,
)
from ..layers.types import Tensor
from .input_and_head import image_input, logits_head
from .patches import border_pixels

Widths = int | Sequence[int]


def MlpMixer(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    patch_size: int,
    blocks: int,
    hidden_dim: int,
    tokens_mlp_dim: Widths,
    channels_mlp_dim: Widths,
    patch_stride: int | None = None,
    patch_border: str = "refuse",
    stem: str = "conv",
    stem_norm: str = "none",
    block_dims: Widths | None = None,
    skip_connections: bool = True,
    norm_position: str = "pre",
    pre_head_layer_norm: bool = True,
    norm_epsilon: float = 1e-6,
    activation: str = "gelu_tanh",
    dropout: float = 0.0,
    head_dropout: float = 0.0,
    stochastic_depth: float = 0.0,
    kernel_initializer: str = "glorot_uniform",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    resize_size: int | None = None,
    crop_size: int | None = None,
    name: str = "mlp_mixer",
) -> keras.Model:
    """Build a Mixer that takes uint8 images and returns float32 logits.

    The defaults give the paper's isotropic Mixer; `skip_connections=False` with `block_dims` gives
    one that narrows from block to block.

    Args:
        input_shape: (height, width, channels).
        classes: number of logits.
        patch_size: side of a patch in pixels.
        blocks: number of Mixer blocks.
        hidden_dim: channels that the stem gives every token.
        tokens_mlp_dim: hidden width of token mixing; an int, or a list with one per block.
        channels_mlp_dim: hidden width of channel mixing; an int, or a list with one per block.
        patch_stride: pixels between patches; default `patch_size`; less makes them overlap.
        patch_border: what becomes of pixels behind the last whole patch of a row: `refuse`, `drop`
            or `pad`; see `border_pixels`.
        stem: `"conv"` (one Conv2D) or `"dense"` (`Patches` and one Dense): the same function.
        stem_norm: `"batch"` normalizes each patch position over the batch; or `"none"`.
        block_dims: channels after each block; default `hidden_dim` throughout.
        skip_connections: see `MixerBlock`.
        norm_position: see `MixerBlock`.
        pre_head_layer_norm: normalize the tokens before they are averaged.
        norm_epsilon: of the layer norms.
        activation: see `MixerBlock`.
        dropout: inside the blocks' MLPs.
        head_dropout: before the classifier.
        stochastic_depth: of the last block; grows linearly from 0 at the first.
        kernel_initializer: of every kernel; see `kmixer.layers.initializer`.
        mean: per channel, of pixels scaled to 0..1; default 0.
        std: per channel, of pixels scaled to 0..1; default 1.
        resize_size: pixels of the smaller side that images are resized to inside the model; default
            not resized.
        crop_size: side in pixels of the center crop after that; default not cropped.
        name: of the model.

    Returns:
        A `keras.Model`: uint8 `(batch, height, width, channels)` → float32 `(batch, classes)`.

    Raises:
        SettingsError: the patches do not fit the image.
        ValueError: the arguments of `MixerBlock` contradict each other.

    Example:
        >>> model = MlpMixer((28, 28, 1), 10, patch_size=4, blocks=2, hidden_dim=32,
        ...                  tokens_mlp_dim=16, channels_mlp_dim=64)
        >>> model.output_shape
        (None, 10)
    """
    images, x = image_input(input_shape, mean, std, resize_size, crop_size)
    x = _fit_border(x, patch_size, patch_stride or patch_size, patch_border)
    x = _stem(x, stem, patch_size, patch_stride or patch_size, hidden_dim, kernel_initializer)
    if stem_norm == "batch":
        x = keras.layers.BatchNormalization(axis=1, name="stem_norm")(x)
    for index in range(blocks):
        x = MixerBlock(
            _width(tokens_mlp_dim, index),
            _width(channels_mlp_dim, index),
            _width(block_dims or hidden_dim, index),
            skip_connections=skip_connections,
            norm_position=norm_position,
            activation=activation,
            dropout=dropout,
            stochastic_depth=stochastic_depth * index / max(blocks - 1, 1),
            kernel_initializer=initializer(kernel_initializer, "dense"),
            norm_epsilon=norm_epsilon,
            name=f"mixer_block_{index}",
        )(x)  # (batch, tokens, channels)
    if pre_head_layer_norm:
        x = LayerNormalization(epsilon=norm_epsilon, name="pre_head_layer_norm")(x)
    x = keras.layers.GlobalAveragePooling1D(name="mean_over_tokens")(x)  # (batch, channels)
    if head_dropout:
        x = Dropout(head_dropout, name="head_dropout")(x)
    return keras.Model(images, logits_head(x, classes, kernel_initializer), name=name)


def _fit_border(x: Tensor, size: int, stride: int, border: str) -> Tensor:
    """Crop or pad images so that the patches end at their edges, where that is asked for."""
    added = [border_pixels(side, size, stride, border) for side in x.shape[1:3]]
    if all(pixels == (0, 0) for pixels in added):
        return x
    if border == "drop":
        cropped = tuple((-before, -after) for before, after in added)
        return keras.layers.Cropping2D(cropped, name="border")(x)
    return keras.layers.ZeroPadding2D(tuple(added), name="border")(x)


def _stem(
    x: Tensor, kind: str, size: int, stride: int, hidden_dim: int, kernel_initializer: str
) -> Tensor:
    """Embed each patch: `(batch, height, width, channels)` → `(batch, tokens, hidden_dim)`."""
    _, height, width, _ = x.shape
    patch_grid((height, width), size, stride)  # raises if the patches do not fit
    options = {"kernel_initializer": initializer(kernel_initializer, kind), "name": "stem"}
    if kind == "dense":
        x = Patches(size, stride, name="patches")(x)
        return keras.layers.Dense(hidden_dim, **options)(x)
    x = Conv2D(hidden_dim, size, stride, **options)(x)
    return keras.layers.Reshape((-1, hidden_dim), name="tokens")(x)


def _width(widths: Widths, block: int) -> int:
    return widths if isinstance(widths, int) else widths[block]
