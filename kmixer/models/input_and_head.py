"""The two ends that every model has: uint8 images in, float32 logits out."""

import keras

from ..errors import SettingsError
from ..layers import Dropout, Patches, ResizeCrop, initializer, patch_grid
from ..layers import activation as resolve_activation


def images_in(input_shape, mean, std, resize_size=None, crop_size=None):
    """Return the input and the normalised images, `(pixel/255 - mean) / std` per channel.

    Args:
        input_shape: (height, width, channels).
        mean: per channel, of pixels scaled to 0..1; default 0.
        std: per channel, of pixels scaled to 0..1; default 1.
        resize_size: see `ResizeCrop`.
        crop_size: see `ResizeCrop`.

    Raises:
        SettingsError: the crop is larger than the image.
    """
    channels = input_shape[-1]
    mean, std = mean or [0.0] * channels, std or [1.0] * channels
    images = x = keras.Input(input_shape, dtype="uint8", name="images")
    if crop := resize_crop(input_shape, resize_size, crop_size):
        x = crop(x)
    scale = [1 / (255 * s) for s in std]
    offset = [-m / s for m, s in zip(mean, std, strict=True)]
    return images, keras.layers.Rescaling(scale, offset, name="normalise")(x)


def resize_crop(image_shape, resize_size=None, crop_size=None):
    """Return the model's `ResizeCrop`, or None where images have the sides that are wanted.

    The arguments and the error are those of `images_in`.
    """
    wanted = {resize_size, crop_size} - {None}
    if not wanted or len(wanted.union(image_shape[:2])) == 1:
        return None
    layer = ResizeCrop(resize_size, crop_size, name="resize_crop")
    try:
        layer.build((None, *image_shape))
    except ValueError as error:
        raise SettingsError(f"data.{error}") from None
    return layer


def patches_as_pixels(x, size):
    """Cut images into patches, each a pixel of a smaller image with size²·channels channels.

    Args:
        x: `(batch, height, width, channels)`.
        size: side of a patch in pixels.

    Returns:
        `(batch, height/size, width/size, size²·channels)`.
    """
    rows, columns = patch_grid(x.shape[1:3], size, size)
    patches = Patches(size, name="patches")(x)
    return keras.layers.Reshape((rows, columns, -1), name="patches_as_pixels")(patches)


def perceptron_out(x, classes, hidden_dims, activation, dropout, kernel_initializer):
    """Return the logits of a perceptron on all values of `x`, flattened.

    Args:
        x: `(batch, …)`.
        classes: number of logits.
        hidden_dims: widths of the hidden layers.
        activation: of the hidden layers; a name that `kmixer.layers.activation` knows.
        dropout: after each hidden layer.
        kernel_initializer: see `kmixer.layers.initializer`.
    """
    x = keras.layers.Flatten(name="flatten")(x)  # (batch, features)
    for index, width in enumerate(hidden_dims):
        x = keras.layers.Dense(
            width, resolve_activation(activation), name=f"hidden_{index}",
            kernel_initializer=initializer(kernel_initializer, "dense"),
        )(x)  # fmt: skip
        if dropout:
            x = Dropout(dropout, name=f"dropout_{index}")(x)
    return logits_out(x, classes, kernel_initializer)


def logits_out(x, classes, kernel_initializer):
    """Return float32 logits of `(batch, features)`, whatever the precision."""
    return keras.layers.Dense(
        classes, kernel_initializer=initializer(kernel_initializer, "dense"), dtype="float32",
        name="head",
    )(x)  # fmt: skip
