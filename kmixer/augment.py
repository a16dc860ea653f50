"""Augmentations: batched image → image layers, every image with draws of its own.

Each layer turns `(batch, height, width, channels)` images and `(batch, draws)` uniform numbers
into images of the same shape and dtype; the draws decide everything, so the same draws give the
same images in tf.data, inside the model, and in NumPy, under every backend. Called without draws, a
layer takes its own from its seed. The code is written against the names that NumPy, Keras and
TensorFlow share; `_namespace` says whose they are.
"""

import keras
import numpy as np

PACKAGE = "kmixer"


def _namespace(images):
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


def _cast(images, dtype):
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

    def __call__(self, images, draws=None, training=True, **kwargs):
        if not _in_foreign_tensorflow(images):
            return super().__call__(images, draws=draws, training=training, **kwargs)
        if not training:
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
        return self.transform(images, keras.ops.convert_to_tensor(draws))

    def transform(self, images, draws):
        """Return the images that these draws, float32 `(batch, self.draws)`, make of `images`."""
        raise TypeError(f"{type(self).__name__} defines no transform(images, draws)")

    def compute_output_shape(self, input_shape, *args, **kwargs):
        """Return the input's shape."""
        return input_shape

    def get_config(self):
        """Return the constructor's arguments."""
        return super().get_config() | {"seed": self.seed}


def _hat_weights(xp, positions, size):
    """Return the bilinear weights `(batch, out, size)` of reading at `positions` `(batch, out)`."""
    pixels = xp.arange(0, size, dtype="float32")
    return xp.maximum(1.0 - xp.abs(positions[:, :, None] - pixels), 0.0)


def _resample(images, rows, columns):
    """Read each image at the crossings of its own fractional rows and columns, bilinearly.

    A separable matrix product per image: exact, without gathers, and as fast on two CPU cores as
    on an accelerator. Positions outside the image read as 0.
    """
    xp = _namespace(images)
    _, height, width, channels = images.shape
    down = _hat_weights(xp, rows, height)  # (batch, out height, height)
    across = _hat_weights(xp, columns, width)  # (batch, out width, width)
    pixels = _cast(images, "float32")
    planes = [
        xp.matmul(xp.matmul(down, pixels[..., channel]), xp.swapaxes(across, 1, 2))
        for channel in range(channels)
    ]
    resampled = _restore(xp, xp.stack(planes, axis=-1), images.dtype)
    # tf.experimental.numpy forgets static shapes; reshape states them again.
    return xp.reshape(resampled, (-1, height, width, channels))


def _round(xp, values):
    """Round half up; the libraries' own `round` disagree about the half."""
    return xp.floor(values + 0.5)


def _restore(xp, pixels, dtype):
    """Cast float pixels back to the images' dtype, rounding if that holds whole numbers."""
    if "int" in str(dtype):
        pixels = xp.clip(_round(xp, pixels), 0.0, 255.0)
    return _cast(pixels, dtype)


@keras.saving.register_keras_serializable(PACKAGE)
class RandomResizedCrop(ImageAugmentation):
    """Crop a random area of a random aspect ratio and resize it to the image's own size.

    The crop is drawn as torchvision's RandomResizedCrop draws it: ten tries at an area (uniform
    share of the image's area) and a ratio (log-uniform); the first that fits is taken, else the
    largest centred crop within the ratio. Bilinear, half-pixel centres, clamped at the crop's edge.

    Args:
        scale: (min, max) share of the area.
        ratio: (min, max) of width / height.
    """

    tries = 10
    draws = 2 * tries + 2

    def __init__(self, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3), **kwargs):
        super().__init__(**kwargs)
        self.scale, self.ratio = tuple(scale), tuple(ratio)

    def transform(self, images, draws):
        xp = _namespace(images)
        _, height, width, _ = images.shape
        top, left, crop_height, crop_width = self.boxes(xp, draws, height, width)
        rows = _crop_positions(xp, top, crop_height, height)
        columns = _crop_positions(xp, left, crop_width, width)
        return _resample(images, rows, columns)

    def boxes(self, xp, draws, height, width):
        """Return (top, left, height, width) in pixels, each float32 `(batch,)`."""
        crop_heights, crop_widths = self._candidates(xp, draws, height, width)
        fits = (crop_heights >= 1) & (crop_heights <= height)
        fits = _cast(fits & (crop_widths >= 1) & (crop_widths <= width), "float32")
        order = xp.arange(self.tries, 0, -1, dtype="float32")
        first = _cast(fits * order == xp.max(fits * order, axis=1)[:, None], "float32") * fits
        some = xp.max(fits, axis=1)  # 1 where a try fits, else 0
        fallback_height, fallback_width = self._fallback(height, width)
        crop_height = xp.sum(first * crop_heights, axis=1) + (1 - some) * fallback_height
        crop_width = xp.sum(first * crop_widths, axis=1) + (1 - some) * fallback_width
        down, across = draws[:, -2], draws[:, -1]
        top = xp.floor(some * down * (height - crop_height + 1))
        left = xp.floor(some * across * (width - crop_width + 1))
        centre_top = (1 - some) * xp.floor((height - crop_height + 1) / 2)
        centre_left = (1 - some) * xp.floor((width - crop_width + 1) / 2)
        return top + centre_top, left + centre_left, crop_height, crop_width

    def _candidates(self, xp, draws, height, width):
        low, high = self.scale
        areas = (low + (high - low) * draws[:, : self.tries]) * (height * width)
        low, high = (float(np.log(bound)) for bound in self.ratio)
        ratios = xp.exp(low + (high - low) * draws[:, self.tries : 2 * self.tries])
        return _round(xp, xp.sqrt(areas / ratios)), _round(xp, xp.sqrt(areas * ratios))

    def _fallback(self, height, width):
        low, high = self.ratio
        if width / height < low:
            return round(width / low), width
        if width / height > high:
            return height, round(height * high)
        return height, width

    def get_config(self):
        return super().get_config() | {"scale": self.scale, "ratio": self.ratio}


def _crop_positions(xp, start, length, size):
    """Return the positions `(batch, size)` that resize the crop [start, start + length) to size."""
    centres = xp.arange(0, size, dtype="float32") + 0.5
    positions = start[:, None] + centres * (length / size)[:, None] - 0.5
    last = (start + length - 1)[:, None]
    return xp.minimum(xp.maximum(positions, start[:, None]), last)


@keras.saving.register_keras_serializable(PACKAGE)
class RandomTranslation(ImageAugmentation):
    """Shift by whole pixels in each direction; what comes in from outside is black.

    Args:
        factor: largest shift as a share of the side, in [0, 1); both signs are drawn alike.
    """

    draws = 2

    def __init__(self, factor=0.1, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def transform(self, images, draws):
        xp = _namespace(images)
        _, height, width, _ = images.shape
        rows, columns = (
            xp.arange(0, size, dtype="float32") - self._shift(xp, draws[:, axis], size)[:, None]
            for axis, size in enumerate((height, width))
        )
        return _resample(images, rows, columns)

    def _shift(self, xp, uniform, size):
        """Return a whole number of pixels, uniform over -most … most."""
        most = int(self.factor * size)
        return xp.floor(uniform * (2 * most + 1)) - most

    def get_config(self):
        return super().get_config() | {"factor": self.factor}


@keras.saving.register_keras_serializable(PACKAGE)
class RandomHorizontalFlip(ImageAugmentation):
    """Mirror left and right.

    Args:
        probability: of mirroring an image, in [0, 1].
    """

    draws = 1

    def __init__(self, probability=0.5, **kwargs):
        super().__init__(**kwargs)
        self.probability = probability

    def transform(self, images, draws):
        xp = _namespace(images)
        mirrored = (draws[:, 0] < self.probability)[:, None, None, None]
        return xp.where(mirrored, xp.flip(images, axis=2), images)

    def get_config(self):
        return super().get_config() | {"probability": self.probability}


@keras.saving.register_keras_serializable(PACKAGE)
class RandomErasing(ImageAugmentation):
    """Overwrite a random rectangle with black (Zhong et al., arXiv 1708.04896).

    Drawn as torchvision's RandomErasing draws it, but with one try: a rectangle that would not fit
    is cut to the image.

    Args:
        probability: of erasing in an image, in [0, 1].
        scale: (min, max) share of the area.
        ratio: (min, max) of width / height, drawn log-uniformly.
    """

    draws = 5

    def __init__(self, probability=0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), **kwargs):
        super().__init__(**kwargs)
        self.probability, self.scale, self.ratio = probability, tuple(scale), tuple(ratio)

    def transform(self, images, draws):
        xp = _namespace(images)
        _, height, width, _ = images.shape
        tall, wide = self._sizes(xp, draws, height, width)
        tall = tall * _cast(draws[:, 0] < self.probability, "float32")
        rows = _span(xp, draws[:, 3], tall, height)
        columns = _span(xp, draws[:, 4], wide, width)
        erased = (rows[:, :, None] & columns[:, None, :])[..., None]
        return xp.where(erased, xp.zeros_like(images), images)

    def _sizes(self, xp, draws, height, width):
        low, high = self.scale
        areas = (low + (high - low) * draws[:, 1]) * (height * width)
        low, high = (float(np.log(bound)) for bound in self.ratio)
        ratios = xp.exp(low + (high - low) * draws[:, 2])
        tall = xp.minimum(_round(xp, xp.sqrt(areas / ratios)), float(height))
        return tall, xp.minimum(_round(xp, xp.sqrt(areas * ratios)), float(width))

    def get_config(self):
        return super().get_config() | {
            "probability": self.probability,
            "scale": self.scale,
            "ratio": self.ratio,
        }


def _span(xp, uniform, length, size):
    """Return a mask `(batch, size)` of `length` pixels from a random start that fits."""
    start = xp.floor(uniform * (size - length + 1))[:, None]
    pixels = xp.arange(0, size, dtype="float32")
    return (pixels >= start) & (pixels < start + length[:, None])


@keras.saving.register_keras_serializable(PACKAGE)
class AugmentationPipeline(ImageAugmentation):
    """Several augmentations, one after the other; the draws are dealt out in that order.

    Args:
        layers: the `ImageAugmentation` layers.
    """

    def __init__(self, layers, **kwargs):
        super().__init__(**kwargs)
        self.layers = list(layers)
        self.draws = sum(layer.draws for layer in self.layers)

    def transform(self, images, draws):
        used = 0
        for layer in self.layers:
            images = layer.transform(images, draws[:, used : used + layer.draws])
            used += layer.draws
        return images

    def get_config(self):
        layers = [keras.saving.serialize_keras_object(layer) for layer in self.layers]
        return super().get_config() | {"layers": layers}

    @classmethod
    def from_config(cls, config):
        layers = [keras.saving.deserialize_keras_object(layer) for layer in config["layers"]]
        return cls(**(config | {"layers": layers}))


def augmentation(settings):
    """Build the pipeline that `AugmentSettings` describe, or None if everything is off."""
    crop, erasing = settings.random_resized_crop, settings.random_erasing
    layers = []
    if crop:
        layers.append(RandomResizedCrop(crop.scale, crop.ratio))
    if settings.translation:
        layers.append(RandomTranslation(settings.translation))
    if settings.horizontal_flip:
        layers.append(RandomHorizontalFlip(settings.horizontal_flip))
    if erasing:
        layers.append(RandomErasing(erasing.probability, erasing.scale, erasing.ratio))
    return AugmentationPipeline(layers) if layers else None
