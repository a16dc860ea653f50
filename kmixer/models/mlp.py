"""The multilayer perceptron: what a Mixer is measured against."""

import keras

from .input_and_head import images_in, patches_as_pixels, perceptron_out


def Mlp(input_shape, classes, *, hidden_dims, activation="relu", dropout=0.0, patch_size=None,
        kernel_initializer="glorot_uniform", mean=None, std=None, resize_size=None,
        crop_size=None, name="mlp"):  # fmt: skip
    """Build a perceptron that takes uint8 images and returns float32 logits.

    Args:
        input_shape: (height, width, channels).
        classes: number of logits.
        hidden_dims: widths of the hidden layers.
        activation: of the hidden layers.
        dropout: after each hidden layer.
        patch_size: flatten the image patch by patch instead of row by row; default no.
        kernel_initializer: of every kernel; see `kmixer.layers.initializer`.
        mean: see `MlpMixer`.
        std: see `MlpMixer`.
        resize_size: see `MlpMixer`.
        crop_size: see `MlpMixer`.
        name: of the model.

    Returns:
        A `keras.Model`: uint8 `(batch, height, width, channels)` → float32 `(batch, classes)`.

    Raises:
        SettingsError: the patches do not fit the image.
    """
    images, x = images_in(input_shape, mean, std, resize_size, crop_size)
    if patch_size:
        x = patches_as_pixels(x, patch_size)
    logits = perceptron_out(x, classes, hidden_dims, activation, dropout, kernel_initializer)
    return keras.Model(images, logits, name=name)
