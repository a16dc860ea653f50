"""Plain convolutional networks, VGG (Simonyan and Zisserman, arXiv 1409.1556) among them."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from ..errors import SettingsError
from ..layers import activation as resolve_activation
from ..layers import initializer
from ..layers.types import Tensor
from .input_and_head import image_input, mlp_head, patches_as_pixels


def Cnn(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    stages: Sequence[Mapping[str, Any]],
    hidden_dims: Sequence[int] = (),
    activation: str = "relu",
    dropout: float = 0.0,
    patch_size: int | None = None,
    kernel_initializer: str = "glorot_uniform",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    resize_size: int | None = None,
    crop_size: int | None = None,
    name: str = "cnn",
) -> keras.Model:
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
        SettingsError: the patches do not fit the image, or a stage is larger than its input.

    Example:
        >>> Cnn((28, 28, 1), 10, stages=[{"filters": 8, "pool": 2}, {"filters": 16}]).output_shape
        (None, 10)
    """
    images, x = image_input(input_shape, mean, std, resize_size, crop_size)
    if patch_size:
        x = patches_as_pixels(x, patch_size)
    for index, stage in enumerate(stages):
        x = _stage(x, index, kernel_initializer, **stage)
    logits = mlp_head(x, classes, hidden_dims, activation, dropout, kernel_initializer)
    return keras.Model(images, logits, name=name)


def _stage(
    x: Tensor,
    index: int,
    kernel_initializer: str,
    filters: int,
    kernel_size: int = 3,
    padding: str | Sequence[int] = "same",
    batch_norm: bool = False,
    activation: str = "relu",
    pool: int = 1,
) -> Tensor:
    if not isinstance(padding, str):
        x = keras.layers.ZeroPadding2D(tuple(padding), name=f"padding_{index}")(x)
        padding = "valid"
    if padding == "valid":
        _check_fits(kernel_size, x, f"model.stages.{index}.kernel_size")
    x = keras.layers.Conv2D(
        filters, kernel_size, padding=padding, name=f"conv_{index}",
        kernel_initializer=initializer(kernel_initializer, "conv"),
    )(x)  # fmt: skip
    if batch_norm:
        x = keras.layers.BatchNormalization(name=f"batch_norm_{index}")(x)
    x = keras.layers.Activation(resolve_activation(activation), name=f"activation_{index}")(x)
    if pool > 1:
        _check_fits(pool, x, f"model.stages.{index}.pool")
        x = keras.layers.MaxPooling2D(pool, name=f"pool_{index}")(x)
    return x


def _check_fits(size: int, x: Tensor, setting: str) -> None:
    """Refuse a kernel or a pooling window that is larger than the image."""
    height, width = x.shape[1:3]
    if size > min(height, width):
        raise SettingsError(
            f"{setting}: received {size}, expected at most {min(height, width)}: {height}×{width}"
            " pixels are left before this stage"
        )
