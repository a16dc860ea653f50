"""What every model begins and ends with: uint8 images in, float32 logits out."""

from collections.abc import Sequence

import keras

from ..errors import SettingsError
from ..layers import Dropout, Patches, ResizeCrop, initializer
from ..layers import activation as resolve_activation
from ..layers.types import Tensor


def image_input(
    input_shape: tuple[int, int, int],
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    resize_size: int | None = None,
    crop_size: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the input and the normalized images, `(pixel/255 - mean) / std` per channel.

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


def seen_images(model: keras.Model) -> Tensor:
    """Return the tensor of the images as a model sees them, resized and cropped, as pixels."""
    return model.get_layer("normalise").input


def resize_crop(
    image_shape: tuple[int, int, int], resize_size: int | None = None, crop_size: int | None = None
) -> ResizeCrop | None:
    """Return a model's `ResizeCrop`, or None if the images have the right sides already.

    The arguments and the error are those of `image_input`.
    """
    height, width, _ = image_shape
    side = crop_size or resize_size
    if side is None or (height == width == side and resize_size in (None, side)):
        return None
    layer = ResizeCrop(resize_size, crop_size, name="resize_crop")
    try:
        layer.build((None, *image_shape))
    except ValueError as error:
        raise SettingsError(f"data.{error}") from None
    return layer


def patches_as_pixels(x: Tensor, size: int) -> Tensor:
    """Cut images into patches, each a pixel of a smaller image with size²·channels channels.

    Args:
        x: `(batch, height, width, channels)`.
        size: side of a patch in pixels.

    Returns:
        `(batch, height/size, width/size, size²·channels)`.

    Raises:
        SettingsError: the patches do not fit the image.
    """
    patches = Patches(size, name="patches")
    rows, columns = patches.grid(x.shape)
    return keras.layers.Reshape((rows, columns, -1), name="patches_as_pixels")(patches(x))


def mlp_head(
    x: Tensor,
    classes: int,
    hidden_dims: Sequence[int],
    activation: str,
    dropout: float,
    kernel_initializer: str,
) -> Tensor:
    """Return the float32 logits of a perceptron on the flattened `x`.

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
    return logits_head(x, classes, kernel_initializer)


def logits_head(x: Tensor, classes: int, kernel_initializer: str) -> Tensor:
    """Return float32 logits `(batch, classes)` of `(batch, features)`, whatever the precision."""
    return keras.layers.Dense(
        classes, kernel_initializer=initializer(kernel_initializer, "dense"), dtype="float32",
        name="head",
    )(x)  # fmt: skip
