"""RandAugment: a few random operations on each image, all of one strength."""

from collections.abc import Callable
from typing import Any

import keras

from .base import PACKAGE, Array, ImageAugmentation, Namespace, cast, namespace, restore_dtype
from .color_ops import COLOR_OPS
from .dispatch import ImageFunction, apply_per_image, repeat
from .geometric_ops import GEOMETRIC_OPS, move_pixels

OPERATIONS = (*GEOMETRIC_OPS, *COLOR_OPS, "Identity")


@keras.saving.register_keras_serializable(PACKAGE)
class RandAugment(ImageAugmentation):
    """Apply `num_ops` operations to each image, one after the other (arXiv 1909.13719).

    The operations and their strengths are those of torchvision's RandAugment, and the results are
    equal to torchvision's on Pillow images, within one gray level: nearest neighbors, black beyond
    the border. Each image has its own random operations and directions.

    Images hold levels from 0 to 255; floats are rounded to whole numbers.

    Args:
        num_ops: operations for an image.
        magnitude: of all operations, from 0 to `num_magnitude_bins` - 1.
        num_magnitude_bins: the number of magnitudes, 2 or more.
        kwargs: `seed`, and arguments of a Keras layer.

    Raises:
        ValueError: the magnitude or the number of magnitudes is out of range.
    """

    def __init__(
        self, num_ops: int = 2, magnitude: int = 9, num_magnitude_bins: int = 31, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if num_magnitude_bins < 2 or not 0 <= magnitude < num_magnitude_bins:
            raise ValueError(
                f"magnitude: received {magnitude} of {num_magnitude_bins} bins, expected 2 bins or"
                " more, and a magnitude from 0 to one less than the bins"
            )
        self.num_ops, self.magnitude = num_ops, magnitude
        self.num_magnitude_bins = num_magnitude_bins
        self.draws = num_ops

    def transform(self, images: Array, draws: Array) -> Array:
        xp = namespace(images)
        pixels = restore_dtype(xp, cast(images, "float32"), "uint8")
        # tf.experimental.numpy forgets static shapes; reshape states them again.
        pixels = xp.reshape(pixels, (-1, *images.shape[1:]))
        # One function does all geometric operations; Identity has none.
        functions = [self._move, *map(self._color_function, COLOR_OPS.values())]

        def step(number: Array, pixels: Array) -> Array:
            # An even choice is an operation forwards, the odd one after it the same backwards.
            uniforms = xp.take(draws, number, axis=1)
            choices = cast(xp.floor(uniforms * (2 * len(OPERATIONS))), "int32")
            selected = cast(xp.maximum(choices // 2 - (len(GEOMETRIC_OPS) - 1), 0), "int32")
            return apply_per_image(xp, functions, selected, pixels, choices)

        return cast(repeat(self.num_ops, step, pixels), images.dtype)

    @property
    def _strength(self) -> float:
        return self.magnitude / (self.num_magnitude_bins - 1)

    def _move(self, xp: Namespace, pixels: Array, choices: Array) -> Array:
        return cast(move_pixels(xp, cast(pixels, "float32"), choices, self._strength), "uint8")

    def _color_function(
        self, operation: Callable[[Namespace, Array, Array, float], Array]
    ) -> ImageFunction:
        def apply(xp: Namespace, pixels: Array, choices: Array) -> Array:
            signs = cast(1 - 2 * (choices % 2), "float32")[:, None, None, None]
            return cast(operation(xp, cast(pixels, "float32"), signs, self._strength), "uint8")

        return apply

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "num_ops": self.num_ops,
            "magnitude": self.magnitude,
            "num_magnitude_bins": self.num_magnitude_bins,
        }
