"""The layer that holds a whole data set on the accelerator."""

import keras
from keras import ops


class ResidentImages(keras.layers.Layer):
    """Indices → images, out of the accelerator's own memory.

    Args:
        images: uint8 `(n, height, width, channels)`.

    Shape: int32 `(batch,)` → uint8 `(batch, height, width, channels)`.
    """

    VARIABLE = "resident_images"

    def __init__(self, images, **kwargs):
        super().__init__(**kwargs)
        self.images = keras.Variable(images, trainable=False, dtype="uint8", name=self.VARIABLE)
        self.built = True

    def call(self, indices):
        return ops.take(self.images, indices, axis=0)

    def compute_output_spec(self, indices):
        """Return the spec of the images, whose dtype is not the layer's."""
        return keras.KerasTensor((*indices.shape, *self.images.shape[1:]), "uint8")
