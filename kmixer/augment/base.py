"""What all augmentations share: the arrays they compute on, and the layer they are."""

from contextvars import ContextVar

import keras
import numpy as np

PACKAGE = "kmixer"

# Whether Keras calls: its step may be compiled, and then no shape may depend on the draws.
in_model = ContextVar("in_model", default=False)


def namespace(images):
    """Return the module that computes on this kind of array: numpy, TensorFlow's, or keras.ops."""
    if isinstance(images, np.ndarray):
        return np
    if _in_foreign_tensorflow(images):
        import tensorflow as tf

        return tf.experimental.numpy
    return keras.ops


def _in_foreign_tensorflow(images):
    """Say whether this is a TensorFlow tensor (of tf.data) while Keras runs on another backend."""
    return (
        type(images).__module__.startswith("tensorflow") and keras.backend.backend() != "tensorflow"
    )


def cast(images, dtype):
    """Cast an array of any of these kinds."""
    if isinstance(images, np.ndarray):
        return images.astype(dtype)
    if _in_foreign_tensorflow(images):
        import tensorflow as tf

        return tf.cast(images, dtype)
    return keras.ops.cast(images, dtype)


class ImageAugmentation(keras.layers.Layer):
    """The base of the augmentations.

    Args:
        seed: of the draws that are not given to `call`.
    """

    draws = 0

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def __call__(self, images, draws=None, **kwargs):
        if not _in_foreign_tensorflow(images):
            return super().__call__(images, draws=draws, **kwargs)
        if not kwargs.get("training", True):
            return images
        if draws is None:
            import tensorflow as tf

            draws = tf.random.uniform((tf.shape(images)[0], self.draws), seed=self.seed)
        return self.transform(images, draws)

    def call(self, images, draws=None, training=True):
        """Augment `(batch, height, width, channels)` while training; else return it as it is."""
        if not training:
            return images
        if draws is None:
            shape = (keras.ops.shape(images)[0], self.draws)
            draws = keras.random.uniform(shape, seed=self.seed_generator)
        images = keras.ops.convert_to_tensor(images)
        outside = in_model.set(True)
        try:
            return self.transform(images, keras.ops.convert_to_tensor(draws))
        finally:
            in_model.reset(outside)

    def transform(self, images, draws):
        """Return the images that these draws, float32 `(batch, self.draws)`, make of `images`."""
        raise TypeError(f"{type(self).__name__} defines no transform(images, draws)")

    def mix_labels(self, labels, draws, size):
        """Return the labels, float32 `(batch, classes)`, that belong to what `transform` makes.

        Args:
            labels: as the images come in.
            draws: as for `transform`.
            size: (height, width) of the images.
        """
        return labels

    def compute_output_shape(self, input_shape, *args, **kwargs):
        """Return the input's shape."""
        return input_shape

    def get_config(self):
        """Return the constructor's arguments."""
        return super().get_config() | {"seed": self.seed}


def draw_rectangles(xp, uniforms, scale, ratio, height, width):
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


def restore_dtype(xp, pixels, dtype):
    """Cast float pixels back to the images' dtype, rounding if that holds whole numbers."""
    if "int" in str(dtype):
        pixels = xp.clip(round_half_up(xp, pixels), 0.0, 255.0)
    return cast(pixels, dtype)


def row_numbers(xp, values):
    """Count the rows of `values`: 0, 1, 2, … in its shape, int32.

    By a sum, because the libraries tell the size of a batch in different ways.
    """
    return cast(xp.cumsum(xp.ones_like(values), axis=0) - 1, "int32")


def round_half_up(xp, values):
    """Round half up; the libraries' own `round` disagree about the half."""
    return xp.floor(values + 0.5)
