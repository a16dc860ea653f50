"""Whether a model fits the images, computed from the settings alone; imports no Keras.

The model builders check the same, but importing them takes seconds. A model family that this module
does not know passes here and is checked when it is built; a test compares the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...config.model import (
    BaselineSettings,
    CnnSettings,
    ConvStageSettings,
    MixerSettings,
    ShiftMlpSettings,
)
from ...errors import SettingsError
from ...models.patches import border_pixels, default_patches
from ...training.choices import fitting_batch_size

if TYPE_CHECKING:
    from ...config import Settings
    from ...config.data import DataSettings

Sides = tuple[int, int]  # height and width in pixels or tokens


def check_geometry(settings: Settings, image_shape: tuple[int, int, int]) -> None:
    """Refuse settings whose model cannot be built on images of this shape.

    Args:
        settings: the `Settings` of one training.
        image_shape: (height, width, channels) of the images as stored.

    Raises:
        SettingsError: a crop, a patch or a convolution does not fit.
    """
    sides = _input_sides(settings.data, image_shape)
    model = settings.model
    if isinstance(model, MixerSettings):
        _check_mixer(model, sides)
    elif isinstance(model, ShiftMlpSettings):
        _check_shift_mlp(model, sides)
    elif isinstance(model, BaselineSettings):
        _check_baseline(model, sides)


def check_steps(settings: Settings, training_images: int) -> None:
    """Refuse settings that leave an epoch without a whole step.

    Raises:
        SettingsError: the steps at once, or the gradients to accumulate, take more images than
            there are.
    """
    batch = fitting_batch_size(settings, training_images)
    at_once = settings.training.steps_per_execution
    steps = training_images // batch // at_once * at_once
    if not steps:
        raise SettingsError(
            f"training.steps_per_execution: received {at_once}, expected at most the"
            f" {training_images} training images"
        )
    accumulated = settings.optimizer.gradient_accumulation_steps
    if steps < accumulated:
        raise SettingsError(
            f"optimizer.gradient_accumulation_steps: received {accumulated}, expected at most the"
            f" {steps} batches of an epoch"
        )


def _input_sides(data: DataSettings, image_shape: tuple[int, int, int]) -> Sides:
    """Return the sides of the images after the model has resized and cropped them."""
    height, width = image_shape[:2]
    resized = data.resize_size or min(height, width)
    crop = data.crop_size or data.resize_size
    if crop is None or {crop, resized, height, width} == {crop}:
        return height, width
    if crop > resized:
        raise SettingsError(
            f"data.crop_size: received {crop}, expected at most the {resized} pixels of the"
            " smaller side"
        )
    return crop, crop


def _check_mixer(model: MixerSettings, sides: Sides) -> None:
    size = stride = model.patch_size
    if size is None or stride is None:
        size, stride = default_patches(*sides)
    stride = model.patch_stride or stride
    height, width = (s + sum(border_pixels(s, size, stride, model.patch_border)) for s in sides)
    _grid((height, width), size, stride)


def _check_shift_mlp(model: ShiftMlpSettings, sides: Sides) -> None:
    for index, stage in enumerate(model.stages):
        stride = stage.patch_stride or stage.patch_size
        sides = _grid(sides, stage.patch_size, stride, f"model.stages.{index}")


def _check_baseline(model: BaselineSettings, sides: Sides) -> None:
    if model.patch_size:
        sides = _grid(sides, model.patch_size, model.patch_size)
    for index, stage in enumerate(model.stages if isinstance(model, CnnSettings) else ()):
        sides = _after_stage(sides, stage, f"model.stages.{index}")


def _after_stage(sides: Sides, stage: ConvStageSettings, section: str) -> Sides:
    """Return the sides that a convolution and its pooling leave."""
    height, width = sides
    if not isinstance(stage.padding, str):
        height, width = height + 2 * stage.padding[0], width + 2 * stage.padding[1]
    if stage.padding != "same":
        _check_at_most(stage.kernel_size, (height, width), f"{section}.kernel_size")
        height, width = height - stage.kernel_size + 1, width - stage.kernel_size + 1
    if stage.pool > 1:
        _check_at_most(stage.pool, (height, width), f"{section}.pool")
    return height // stage.pool, width // stage.pool


def _check_at_most(size: int, sides: Sides, key: str) -> None:
    if size > min(sides):
        raise SettingsError(f"{key}: received {size}, expected at most {min(sides)}")


def _grid(sides: Sides, patch_size: int, stride: int, section: str = "model") -> Sides:
    """Return how many patches lie along each side."""
    for side in sides:
        if patch_size > side or (side - patch_size) % stride:
            raise SettingsError(_misfit(side, patch_size, stride, section))
    height, width = ((side - patch_size) // stride + 1 for side in sides)
    return height, width


def _misfit(side: int, patch_size: int, stride: int, section: str) -> str:
    line = f"{section}.patch_size {patch_size} does not fit an image side of {side}"
    sizes = range(1, side + 1)
    if stride == patch_size:
        fitting = [size for size in sizes if side % size == 0]
        return f"{line}; expected one that divides it, such as {_nearest(fitting, patch_size)}"
    fitting = [size for size in sizes if (side - size) % stride == 0]
    return (
        f"{line} with {section}.patch_stride {stride}; expected one such as"
        f" {_nearest(fitting, patch_size)}"
    )


def _nearest(sizes: list[int], wanted: int) -> str:
    nearest = sorted(sizes, key=lambda size: abs(size - wanted))[:3]
    return ", ".join(map(str, sorted(nearest)))
