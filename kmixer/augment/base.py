"""The base class of the augmentations, and array functions that all of them use."""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import keras
import numpy as np

PACKAGE = "kmixer"  # under which the layers are registered for saving

Array = Any  # a NumPy array, a tensor of TensorFlow, or a tensor of Keras' backend
Namespace = Any  # a module with NumPy's functions for such arrays

# True while Keras calls a layer: its step may be compiled, so no shape may depend on the draws.
in_keras_call = ContextVar("in_keras_call", default=False)


def namespace(images: Array) -> Namespace:
    """Return the module that computes on this kind of array: numpy, TensorFlow's, or keras.ops."""
    if isinstance(images, np.ndarray):
        return np
    if _is_foreign_tensorflow(images):
        import tensorflow as tf

        return tf.experimental.numpy
    return keras.ops


def _is_foreign_tensorflow(images: Array) -> bool:
    """Return whether this is a tensor of tf.data while Keras runs on another backend."""
    return (
        type(images).__module__.startswith("tensorflow") and keras.backend.backend() != "tensorflow"
    )


def cast(images: Array, dtype: Any) -> Array:
    """Cast an array of any of these kinds."""
    if isinstance(images, np.ndarray):
        return images.astype(dtype)
    if _is_foreign_tensorflow(images):
        import tensorflow as tf

        return tf.cast(images, dtype)
    return keras.ops.cast(images, dtype)


class ImageAugmentation(keras.layers.Layer):
    """The base class of the augmentations.

    A subclass sets `draws`, the number of uniform random numbers that it needs for an image, and
    defines `transform`; one that mixes images defines `mix_labels` too.

    Args:
        seed: of the random numbers, where `call` is given none.
        kwargs: of a Keras layer.
    """

    draws = 0

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def __call__(self, images: Array, draws: Array = None, **kwargs: Any) -> Array:
        if not _is_foreign_tensorflow(images):
            return super().__call__(images, draws=draws, **kwargs)
        if not kwargs.get("training", True):
            return images
        if draws is None:
            import tensorflow as tf

            draws = tf.random.uniform((tf.shape(images)[0], self.draws), seed=self.seed)
        return self.transform(images, draws)

    def call(self, images: Array, draws: Array = None, training: bool = True) -> Array:
        """Augment `(batch, height, width, channels)` while training; else return it as it is."""
        if not training:
            return images
        if draws is None:
            shape = (keras.ops.shape(images)[0], self.draws)
            draws = keras.random.uniform(shape, seed=self.seed_generator)
        images = keras.ops.convert_to_tensor(images)
        token = in_keras_call.set(True)
        try:
            return self.transform(images, keras.ops.convert_to_tensor(draws))
        finally:
            in_keras_call.reset(token)

    def transform(self, images: Array, draws: Array) -> Array:
        """Return the augmented images.

        Args:
            images: `(batch, height, width, channels)`.
            draws: float32 `(batch, self.draws)` in [0, 1), the random numbers of each image.
        """
        raise TypeError(f"{type(self).__name__} defines no transform(images, draws)")

    def mix_labels(self, labels: Array, draws: Array, size: tuple[int, int]) -> Array:
        """Return the labels, float32 `(batch, classes)`, of the images that `transform` returns.

        Args:
            labels: float32 `(batch, classes)`, of the images before.
            draws: as for `transform`.
            size: (height, width) of the images.
        """
        return labels

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...], *args: Any, **kwargs: Any
    ) -> tuple[int | None, ...]:
        """Return the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return super().get_config() | {"seed": self.seed}


def draw_rectangles(
    xp: Namespace,
    uniforms: tuple[Array, Array],
    scale: Sequence[float],
    ratio: Sequence[float],
    height: int,
    width: int,
) -> tuple[Array, Array]:
    """Draw rectangles by area and aspect ratio, in whole pixels, as torchvision does.

    Args:
        xp: the namespace to compute in.
        uniforms: (for the areas, for the ratios), two arrays of one shape in [0, 1).
        scale: (min, max) share of the area `height * width`, drawn uniformly.
        ratio: (min, max) of width / height, drawn log-uniformly.
        height: of the image.
        width: of the image.

    Returns:
        (heights, widths), float32 in the uniforms' shape; they may be larger than the image.
    """
    low, high = scale
    areas = (low + (high - low) * uniforms[0]) * (height * width)
    low, high = (float(np.log(bound)) for bound in ratio)
    ratios = xp.exp(low + (high - low) * uniforms[1])
    return round_half_up(xp, xp.sqrt(areas / ratios)), round_half_up(xp, xp.sqrt(areas * ratios))


def restore_dtype(xp: Namespace, pixels: Array, dtype: Any) -> Array:
    """Cast float pixels back to the images' dtype; an integer dtype is rounded to and clipped."""
    if "int" in str(dtype):
        pixels = xp.clip(round_half_up(xp, pixels), 0.0, 255.0)
    return cast(pixels, dtype)


def row_numbers(xp: Namespace, values: Array) -> Array:
    """Return the number of each row, 0, 1, 2, …, in the shape of `values`, int32.

    By a cumulative sum, because each library has its own way to ask for the size of a batch.
    """
    return cast(xp.cumsum(xp.ones_like(values), axis=0) - 1, "int32")


def round_half_up(xp: Namespace, values: Array) -> Array:
    """Round half up; the libraries' own `round` disagree about the half."""
    return xp.floor(values + 0.5)
