"""Plain convolutional networks, VGG (arXiv 1409.1556) among them."""

import keras

from ..errors import SettingsError
from ..layers import activation as resolve_activation
from ..layers import initializer
from .input_and_head import images_in, patches_as_pixels, perceptron_out


def Cnn(input_shape, classes, *, stages, hidden_dims=(), activation="relu", dropout=0.0,
        patch_size=None, kernel_initializer="glorot_uniform", mean=None, std=None,
        resize_size=None, crop_size=None, name="cnn"):  # fmt: skip
    """Build a network of convolutions, then dense layers: uint8 images → float32 logits.

    Args:
        input_shape: (height, width, channels).
        classes: number of logits.
        stages: dicts of `filters`, `kernel_size`, `padding` (`"same"`, `"valid"` or (rows, columns)
            of zeros on each side), `batch_norm`, `activation` and `pool`: convolution → batch norm
            → activation → max pooling.
        hidden_dims: widths of the hidden dense layers.
        activation: of the hidden dense layers.
        dropout: after each hidden dense layer.
        patch_size: see each patch as one pixel of size²·channels channels; default no.
        kernel_initializer: of every kernel; see `kmixer.layers.initializer`.
        mean: see `MlpMixer`.
        std: see `MlpMixer`.
        resize_size: see `MlpMixer`.
        crop_size: see `MlpMixer`.
        name: of the model.

    Returns:
        A `keras.Model`: uint8 `(batch, height, width, channels)` → float32 `(batch, classes)`.

    Raises:
        SettingsError: the patches do not fit the image, or a stage is larger than what is left.
    """
    images, x = images_in(input_shape, mean, std, resize_size, crop_size)
    if patch_size:
        x = patches_as_pixels(x, patch_size)
    for index, stage in enumerate(stages):
        x = _stage(x, index, kernel_initializer, **stage)
    logits = perceptron_out(x, classes, hidden_dims, activation, dropout, kernel_initializer)
    return keras.Model(images, logits, name=name)


def _stage(x, index, kernel_initializer, filters, kernel_size=3, padding="same", batch_norm=False,
           activation="relu", pool=1):  # fmt: skip
    if not isinstance(padding, str):
        x = keras.layers.ZeroPadding2D(tuple(padding), name=f"padding_{index}")(x)
        padding = "valid"
    if padding == "valid":
        _check_side(x, kernel_size, index, "kernel_size")
    x = keras.layers.Conv2D(
        filters, kernel_size, padding=padding, name=f"conv_{index}",
        kernel_initializer=initializer(kernel_initializer, "conv"),
    )(x)  # fmt: skip
    if batch_norm:
        x = keras.layers.BatchNormalization(name=f"batch_norm_{index}")(x)
    x = keras.layers.Activation(resolve_activation(activation), name=f"activation_{index}")(x)
    if pool > 1:
        _check_side(x, pool, index, "pool")
        x = keras.layers.MaxPooling2D(pool, name=f"pool_{index}")(x)
    return x


def _check_side(x, side, index, what):
    height, width = x.shape[1:3]
    if side > min(height, width):
        raise SettingsError(
            f"model.stages.{index}.{what}: received {side}, expected at most"
            f" {min(height, width)}: {height}×{width} pixels are left before this stage"
        )
