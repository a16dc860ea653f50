"""Images → flattened patches, possibly overlapping."""

from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

from ..errors import SettingsError
from .types import Shape, Tensor


def patch_grid(
    image_size: tuple[int, int], patch_size: int, stride: int, section: str = "model"
) -> tuple[int, int]:
    """Return how many patches fit along each side, (rows, columns).

    Args:
        image_size: (height, width) in pixels.
        patch_size: side of a patch in pixels.
        stride: pixels between the starts of neighboring patches.
        section: of the settings, for the error.

    Raises:
        SettingsError: the patches do not end at the image's edge; the error names the nearest sizes
            and strides that do.

    Example:
        >>> patch_grid((224, 224), patch_size=16, stride=16)
        (14, 14)
    """
    for side in image_size:
        if patch_size > side or (side - patch_size) % stride:
            raise SettingsError(_misfit_message(side, patch_size, stride, section))
    height, width = image_size
    return (height - patch_size) // stride + 1, (width - patch_size) // stride + 1


def _misfit_message(side: int, patch_size: int, stride: int, section: str) -> str:
    divisors = [size for size in range(1, side + 1) if side % size == 0]
    message = f"{section}.patch_size {patch_size} does not fit an image side of {side}"
    if stride == patch_size:
        return f"{message}; the nearest that divide it: {_nearest(divisors, patch_size)}"
    sizes = [size for size in range(stride, side + 1) if (side - size) % stride == 0]
    strides = [
        s for s in range(1, patch_size + 1) if patch_size <= side and not (side - patch_size) % s
    ]
    return (
        f"{message} with {section}.patch_stride {stride}; patch sizes that fit this stride:"
        f" {_nearest(sizes, patch_size) or 'none'}; strides that fit this patch size:"
        f" {_nearest(strides, stride) or 'none, it is larger than the image'}"
    )


def _nearest(sizes: Iterable[int], wanted: int, most: int = 3) -> str:
    nearest = sorted(sizes, key=lambda size: (abs(size - wanted), size))[:most]
    return ", ".join(str(size) for size in sorted(nearest))


@keras.saving.register_keras_serializable("kmixer")
class Patches(keras.layers.Layer):
    """Cut images into patches and flatten each (arXiv 2105.01601, section 2).

    The patches are numbered row by row. With a stride below the size they overlap.

    Args:
        size: side of a patch in pixels.
        stride: pixels between the starts of neighboring patches; default `size`.

    Shape: `(batch, height, width, channels)` → `(batch, patches, size²·channels)`.

    Raises:
        SettingsError: when built on images whose sides the patches do not fit.

    Example:
        >>> tuple(Patches(4)(keras.ops.zeros((1, 28, 28, 1))).shape)
        (1, 49, 16)
    """

    def __init__(self, size: int, stride: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size, self.stride = size, stride or size

    def call(self, images: Tensor) -> Tensor:  # (batch, height, width, channels)
        rows, columns = self.grid(images.shape)
        patches = ops.image.extract_patches(images, self.size, self.stride, padding="valid")
        return ops.reshape(patches, (-1, rows * columns, patches.shape[-1]))

    def grid(self, input_shape: Shape) -> tuple[int, int]:
        """Return (rows, columns) of the patches of images `(batch, height, width, channels)`."""
        _, height, width, _ = input_shape
        return patch_grid((height, width), self.size, self.stride)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        rows, columns = self.grid(input_shape)
        return (input_shape[0], rows * columns, self.size**2 * input_shape[3])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"size": self.size, "stride": self.stride}
