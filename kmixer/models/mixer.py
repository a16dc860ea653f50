"""MLP-Mixer (Tolstikhin et al., arXiv 2105.01601) and its small relatives, as one Keras model."""

import keras

from ..layers import Dropout, MixerBlock, Patches, initializer, patch_grid
from .input_and_head import images_in, logits_out


def MlpMixer(input_shape, classes, *, patch_size, blocks, hidden_dim, tokens_mlp_dim,
             channels_mlp_dim, patch_stride=None, stem="conv", stem_norm="none",
             block_dims=None, skip_connections=True, norm_position="pre", pre_head_layer_norm=True,
             norm_epsilon=1e-6, activation="gelu_tanh", dropout=0.0, head_dropout=0.0,
             stochastic_depth=0.0, kernel_initializer="glorot_uniform", mean=None, std=None,
             resize_size=None, crop_size=None, name="mlp_mixer"):  # fmt: skip
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
        stem: `"conv"` (one Conv2D) or `"dense"` (`Patches` and one Dense): the same function.
        stem_norm: `"batch"` normalises each patch position over the batch; or `"none"`.
        block_dims: channels after each block; default `hidden_dim` throughout.
        skip_connections: see `MixerBlock`.
        norm_position: see `MixerBlock`.
        pre_head_layer_norm: normalise the tokens before they are averaged.
        norm_epsilon: of the layer norms.
        activation: see `MixerBlock`.
        dropout: inside the blocks' MLPs.
        head_dropout: before the classifier.
        stochastic_depth: of the last block; grows linearly from 0 at the first.
        kernel_initializer: of every kernel; see `kmixer.layers.initializer`.
        mean: per channel, of pixels scaled to 0..1; default 0.
        std: per channel, of pixels scaled to 0..1; default 1.
        resize_size: pixels of the smaller side that images are resized to inside the model; default
            as they are.
        crop_size: side in pixels of the centre that is kept of them; default all.
        name: of the model.

    Returns:
        A `keras.Model`: uint8 `(batch, height, width, channels)` → float32 `(batch, classes)`.

    Raises:
        SettingsError: the patches do not fit the image.
    """
    stride = patch_stride or patch_size
    images, x = images_in(input_shape, mean, std, resize_size, crop_size)
    patch_grid(x.shape[1:3], patch_size, stride)
    x = _stem(x, stem, patch_size, stride, hidden_dim, kernel_initializer)
    if stem_norm == "batch":
        x = keras.layers.BatchNormalization(axis=1, name="stem_norm")(x)
    for index in range(blocks):
        x = MixerBlock(
            _of_block(tokens_mlp_dim, index),
            _of_block(channels_mlp_dim, index),
            _of_block(block_dims or hidden_dim, index),
            skip_connections=skip_connections,
            norm_position=norm_position,
            activation=activation,
            dropout=dropout,
            stochastic_depth=stochastic_depth * index / max(blocks - 1, 1),
            kernel_initializer=initializer(kernel_initializer, "dense"),
            norm_epsilon=norm_epsilon,
            name=f"mixer_block_{index}",
        )(x)
    if pre_head_layer_norm:
        x = keras.layers.LayerNormalization(epsilon=norm_epsilon, name="pre_head_layer_norm")(x)
    logits = _head(x, classes, head_dropout, kernel_initializer)
    return keras.Model(images, logits, name=name)


def _of_block(width, index):
    return width[index] if isinstance(width, list | tuple) else width


def _stem(x, kind, size, stride, hidden_dim, kernel_initializer):
    kernel = {"kernel_initializer": initializer(kernel_initializer, kind), "name": "stem"}
    if kind == "dense":
        x = Patches(size, stride, name="patches")(x)
        return keras.layers.Dense(hidden_dim, **kernel)(x)
    x = keras.layers.Conv2D(hidden_dim, size, stride, **kernel)(x)
    return keras.layers.Reshape((-1, hidden_dim), name="tokens")(x)  # (batch, tokens, channels)


def _head(x, classes, dropout, kernel_initializer):
    x = keras.layers.GlobalAveragePooling1D(name="mean_over_tokens")(x)  # (batch, channels)
    if dropout:
        x = Dropout(dropout, name="head_dropout")(x)
    return logits_out(x, classes, kernel_initializer)
