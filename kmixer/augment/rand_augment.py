"""RandAugment: a few operations drawn for each image, all of one strength."""

import keras

from .base import PACKAGE, ImageAugmentation, cast, namespace, restore_dtype
from .color_ops import COLOURS
from .dispatch import by_kind, in_turn
from .geometric_ops import WARPS, warp

OPERATIONS = (*WARPS, *COLOURS, "Identity")


@keras.saving.register_keras_serializable(PACKAGE)
class RandAugment(ImageAugmentation):
    """Apply `num_ops` operations to each image, one after the other (arXiv 1909.13719).

    The operations and their strengths are those of torchvision's RandAugment, and what an operation
    does is what torchvision does to a Pillow image, within one grey level: nearest neighbours,
    black beyond the border. Each image draws its own operations and directions.

    Images hold levels from 0 to 255; floats are rounded to whole ones.

    Args:
        num_ops: operations for an image.
        magnitude: of all operations, from 0 to `num_magnitude_bins` - 1.
        num_magnitude_bins: the number of magnitudes there are.

    Raises:
        ValueError: the magnitude is not one of those.
    """

    def __init__(self, num_ops=2, magnitude=9, num_magnitude_bins=31, **kwargs):
        super().__init__(**kwargs)
        if num_magnitude_bins < 2 or not 0 <= magnitude < num_magnitude_bins:
            raise ValueError(
                f"magnitude: received {magnitude} of {num_magnitude_bins} bins, expected from 0 to"
                " one less than the bins, of which there are at least 2"
            )
        self.num_ops, self.magnitude = num_ops, magnitude
        self.num_magnitude_bins = num_magnitude_bins
        self.draws = num_ops

    def transform(self, images, draws):
        xp = namespace(images)
        pixels = restore_dtype(xp, cast(images, "float32"), "uint8")
        # tf.experimental.numpy forgets static shapes; reshape states them again.
        pixels = xp.reshape(pixels, (-1, *images.shape[1:]))
        kinds = [self._warp, *(self._colour(change) for change in COLOURS.values())]

        def step(number, pixels):
            # Two choices for each operation: its directions. All warps are one kind, the first.
            uniforms = xp.take(draws, number, axis=1)
            choices = cast(xp.floor(uniforms * (2 * len(OPERATIONS))), "int32")
            numbers = cast(xp.maximum(choices // 2 - (len(WARPS) - 1), 0), "int32")
            return by_kind(xp, kinds, numbers, pixels, choices)

        return cast(in_turn(xp, self.num_ops, step, pixels), images.dtype)

    @property
    def _strength(self):
        return self.magnitude / (self.num_magnitude_bins - 1)

    def _warp(self, xp, pixels, choices):
        return cast(warp(xp, cast(pixels, "float32"), choices, self._strength), "uint8")

    def _colour(self, change):
        def changed(xp, pixels, choices):
            signs = cast(1 - 2 * (choices % 2), "float32")[:, None, None, None]
            return cast(change(xp, cast(pixels, "float32"), signs, self._strength), "uint8")

        return changed

    def get_config(self):
        return super().get_config() | {
            "num_ops": self.num_ops,
            "magnitude": self.magnitude,
            "num_magnitude_bins": self.num_magnitude_bins,
        }
