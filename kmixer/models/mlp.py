"""The multilayer perceptron: a baseline for the Mixer."""

from collections.abc import Sequence

import keras

from .input_and_head import image_input, mlp_head, patches_as_pixels


def Mlp(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    hidden_dims: Sequence[int],
    activation: str = "relu",
    dropout: float = 0.0,
    patch_size: int | None = None,
    kernel_initializer: str = "glorot_uniform",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    resize_size: int | None = None,
    crop_size: int | None = None,
    name: str = "mlp",
) -> keras.Model:
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

    Example:
        >>> Mlp((28, 28, 1), 10, hidden_dims=[500, 250]).output_shape
        (None, 10)
    """
    images, x = image_input(input_shape, mean, std, resize_size, crop_size)
    if patch_size:
        x = patches_as_pixels(x, patch_size)
    logits = mlp_head(x, classes, hidden_dims, activation, dropout, kernel_initializer)
    return keras.Model(images, logits, name=name)
