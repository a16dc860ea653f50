"""Images → flattened patches, possibly overlapping."""

import keras
from keras import ops

from ..errors import SettingsError


def patch_grid(image_size, patch_size, stride, section="model"):
    """Return how many patches fit along each side.

    Args:
        image_size: (height, width) in pixels.
        patch_size: side of a patch in pixels.
        stride: pixels between the starts of neighbouring patches.
        section: of the settings, for the error.

    Raises:
        SettingsError: the patches do not end at the image's edge; the nearest that do are named.
    """
    for side in image_size:
        if patch_size > side or (side - patch_size) % stride:
            raise SettingsError(_misfit(side, patch_size, stride, section))
    return tuple((side - patch_size) // stride + 1 for side in image_size)


def _misfit(side, patch_size, stride, section):
    tiling = _nearest((size for size in range(1, side + 1) if side % size == 0), patch_size)
    line = f"{section}.patch_size {patch_size} does not fit an image side of {side}"
    if stride == patch_size:
        return f"{line}; the nearest that divide it: {tiling}"
    at_stride = _nearest(
        (size for size in range(stride, side + 1) if (side - size) % stride == 0), patch_size
    )
    strides = [
        s for s in range(1, patch_size + 1) if patch_size <= side and not (side - patch_size) % s
    ]
    return (
        f"{line} with {section}.patch_stride {stride}; patch sizes that fit this stride:"
        f" {at_stride or 'none'}; strides that fit this patch size: {_nearest(strides, stride)}"
    )


def _nearest(sizes, wanted, most=3):
    close = sorted(sizes, key=lambda size: (abs(size - wanted), size))[:most]
    return ", ".join(str(size) for size in sorted(close))


@keras.saving.register_keras_serializable("kmixer")
class Patches(keras.layers.Layer):
    """Cut images into patches and flatten each: (batch, h, w, c) → (batch, patches, size²·c).

    The patches are counted row by row. With a stride below the size they overlap.

    Args:
        size: side of a patch in pixels.
        stride: pixels between the starts of neighbouring patches; default `size`.

    Raises:
        SettingsError: when built on images whose sides the patches do not fit.
    """

    def __init__(self, size, stride=None, **kwargs):
        super().__init__(**kwargs)
        self.size, self.stride = size, stride or size

    def call(self, images):
        rows, columns = patch_grid(images.shape[1:3], self.size, self.stride)
        patches = ops.image.extract_patches(images, self.size, self.stride, padding="valid")
        return ops.reshape(patches, (-1, rows * columns, patches.shape[-1]))

    def compute_output_shape(self, input_shape):
        rows, columns = patch_grid(input_shape[1:3], self.size, self.stride)
        return (input_shape[0], rows * columns, self.size**2 * input_shape[3])

    def get_config(self):
        return super().get_config() | {"size": self.size, "stride": self.stride}
