"""Resizing and cropping inside the model, as two small matrix products."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("kmixer")
class ResizeCrop(keras.layers.Layer):
    """Resize the smaller side, then crop the centre: the paper's "resmall-crop" for evaluation.

    Bilinear with half-pixel centres, and antialiased where it shrinks, as Pillow does it. Random
    crops for training come from shifting the images beforehand, by whole pixels and with the border
    repeated (RandomTranslation with `fill_mode="nearest"`): the crop moves over the resized image.

    Args:
        resize_size: pixels of the smaller side; default: as it is.
        crop_size: side in pixels of what is kept; default `resize_size`.

    Shape: `(batch, height, width, channels)` → `(batch, crop_size, crop_size, channels)`, float.

    Raises:
        ValueError: the crop is larger than the resized image.
    """

    def __init__(self, resize_size=None, crop_size=None, **kwargs):
        super().__init__(**kwargs)
        self.resize_size, self.crop_size = resize_size, crop_size

    def build(self, input_shape):
        sides = input_shape[1:3]
        scale = (self.resize_size or min(sides)) / min(sides)
        crop = self.crop_size or round(scale * min(sides))
        if crop > round(scale * min(sides)):
            raise ValueError(
                f"crop_size: received {crop}, expected at most the {round(scale * min(sides))}"
                " pixels of the smaller side"
            )
        self._down, self._across = (
            resize_weights(side, round(scale * side), crop) for side in sides
        )
        self.built = True

    def call(self, images):
        y = ops.cast(images, self.compute_dtype)
        down = ops.convert_to_tensor(self._down, y.dtype)
        across = ops.convert_to_tensor(self._across, y.dtype)
        y = ops.tensordot(y, down, [[1], [1]])  # (batch, width, channels, crop)
        y = ops.tensordot(y, across, [[1], [1]])  # (batch, channels, crop, crop)
        return ops.transpose(y, (0, 2, 3, 1))

    def compute_output_shape(self, input_shape):
        """Return the shape of the crops."""
        crop = self.crop_size or self.resize_size or min(input_shape[1:3])
        return (input_shape[0], crop, crop, input_shape[-1])

    def get_config(self):
        """Return the constructor's arguments."""
        return super().get_config() | {
            "resize_size": self.resize_size,
            "crop_size": self.crop_size,
        }


def resize_weights(size, resized, crop):
    """Return the share `(crop, size)` that each input pixel has in each pixel of the crop."""
    ratio = size / resized
    first = (resized - crop) // 2
    centres = (np.arange(first, first + crop) + 0.5) * ratio - 0.5
    distances = np.abs(centres[:, None] - np.arange(size)) / max(ratio, 1.0)
    weights = np.maximum(1.0 - distances, 0.0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
