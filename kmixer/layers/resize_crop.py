"""Resizing and cropping inside the model, as two small matrix products."""

from typing import Any

import keras
import numpy as np
from keras import ops

from .types import Shape, Tensor


@keras.saving.register_keras_serializable("kmixer")
class ResizeCrop(keras.layers.Layer):
    """Resize the smaller side, then crop the center: the paper's "resmall-crop" for evaluation.

    What it returns is square, whatever it is given: a model of oblong images has no such layer.

    Bilinear with half-pixel centers, and antialiased where it shrinks, as Pillow does it. Random
    crops for training come from shifting the images beforehand, by whole pixels and with the border
    repeated (RandomTranslation with `fill_mode="nearest"`): the crop moves over the resized image.

    Args:
        resize_size: pixels of the smaller side; default: not resized.
        crop_size: side of the crop in pixels; default `resize_size`.

    Shape: `(batch, height, width, channels)` → `(batch, crop_size, crop_size, channels)`, float.

    Raises:
        ValueError: when built on images that are smaller, after resizing, than the crop.

    Example:
        >>> tuple(ResizeCrop(256, 224)(keras.ops.zeros((1, 300, 400, 3))).shape)
        (1, 224, 224, 3)
    """

    def __init__(
        self, resize_size: int | None = None, crop_size: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.resize_size, self.crop_size = resize_size, crop_size

    def build(self, input_shape: Shape) -> None:
        _, height, width, _ = input_shape
        smaller = min(height, width)
        scale = (self.resize_size or smaller) / smaller
        crop = self.crop_size or round(scale * smaller)
        if crop > round(scale * smaller):
            raise ValueError(
                f"crop_size: received {crop}, expected at most the {round(scale * smaller)}"
                " pixels of the smaller side"
            )
        self._row_weights = resize_weights(height, round(scale * height), crop)
        self._column_weights = resize_weights(width, round(scale * width), crop)
        self.built = True

    def call(self, images: Tensor) -> Tensor:  # (batch, height, width, channels)
        y = ops.cast(images, self.compute_dtype)
        row_weights = ops.convert_to_tensor(self._row_weights, y.dtype)
        column_weights = ops.convert_to_tensor(self._column_weights, y.dtype)
        y = ops.tensordot(y, row_weights, [[1], [1]])  # (batch, width, channels, crop)
        y = ops.tensordot(y, column_weights, [[1], [1]])  # (batch, channels, crop, crop)
        return ops.transpose(y, (0, 2, 3, 1))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the crops."""
        _, height, width, channels = input_shape
        crop = self.crop_size or self.resize_size or min(height, width)
        return (input_shape[0], crop, crop, channels)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return super().get_config() | {
            "resize_size": self.resize_size,
            "crop_size": self.crop_size,
        }


def resize_weights(size: int, resized: int, crop: int) -> np.ndarray:
    """Return the weights with which a side is resized and its center cropped.

    A triangle kernel, widened where the side shrinks, as Pillow's. `kmixer.augment` has a kernel of
    its own, which is never widened and differs from image to image (docs/adr/0003).

    Args:
        size: of the side in pixels.
        resized: its size after resizing.
        crop: pixels of it that stay.

    Returns:
        float32 `(crop, size)`; the rows sum to 1.

    Example:
        >>> resize_weights(4, 2, 2)
        array([[0.42857143, 0.42857143, 0.14285715, 0.        ],
               [0.        , 0.14285715, 0.42857143, 0.42857143]], dtype=float32)
    """
    ratio = size / resized
    first = (resized - crop) // 2
    centers = (np.arange(first, first + crop) + 0.5) * ratio - 0.5
    distances = np.abs(centers[:, None] - np.arange(size)) / max(ratio, 1.0)
    weights = np.maximum(1.0 - distances, 0.0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
