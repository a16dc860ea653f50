"""The layer that holds a whole data set on the accelerator."""

from typing import Any

import keras
import numpy as np
from keras import ops

from .types import Tensor


class ResidentImages(keras.layers.Layer):
    """Look images up by their indices in the accelerator's own memory.

    Args:
        images: uint8 `(n, height, width, channels)`.

    Shape: int32 `(batch,)` → uint8 `(batch, height, width, channels)`.
    """

    VARIABLE = "resident_images"

    def __init__(self, images: np.ndarray, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.images = keras.Variable(images, trainable=False, dtype="uint8", name=self.VARIABLE)
        self.built = True

    def call(self, indices: Tensor) -> Tensor:
        return ops.take(self.images, indices, axis=0)

    def compute_output_spec(self, indices: Tensor) -> keras.KerasTensor:
        """Return the spec of the images, whose dtype differs from the layer's."""
        return keras.KerasTensor((*indices.shape, *self.images.shape[1:]), "uint8")
