"""The paper's sizes and the presets' models by name, built without their weights' values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras

from ..config import loading, presets
from ..data import find_source
from ..errors import SettingsError, nearest
from ..models import SIZES, MlpMixer, count_flops, mixer_size
from ..models.chip_memory import chip_memory
from ..models.factory import build_model, with_patch_size, without_values
from ..models.grids import patch_grids

if TYPE_CHECKING:
    from ..config.image_size import ImageSize

PAPER_IMAGES = (224, 3, 1000)  # side in pixels, channels, classes
WITHOUT_MODEL = ("finetune",)  # presets that take the model from another run


@dataclass(frozen=True)
class Architecture:
    """A named model whose variables have shapes but no values.

    Attributes:
        name: one of the paper's sizes (`"b16"`), or a preset.
        model: a `keras.Model` that cannot be called.
    """

    name: str
    model: keras.Model

    def describe(self) -> dict[str, Any]:
        """Return its name, shapes and costs, JSON-able.

        `flash_bytes` and `arena_bytes` are what it would need on a microcontroller, estimated.
        """
        memory = chip_memory(self.model)
        return {
            "name": self.name,
            "input_shape": list(self.model.input_shape[1:]),
            "patch_grids": [list(grid) for grid in patch_grids(self.model)],
            "classes": self.model.output_shape[-1],
            "parameters": self.model.count_params(),
            "flops": count_flops(self.model),
            "flash_bytes": memory.flash,
            "arena_bytes": memory.arena,
        }


def architecture_names() -> list[str]:
    """Return the names of all architectures."""
    return [*SIZES, *(name for name in presets.preset_names() if name not in WITHOUT_MODEL)]


def architecture(
    name: str, image_size: ImageSize | None = None, classes: int | None = None
) -> Architecture:
    """Build an architecture without allocating its weights, whatever their size.

    Args:
        name: one of `architecture_names()`; a size also as the paper writes it, such as `"B/16"`.
        image_size: side in pixels, or (height, width); default 224, or that of the preset's data
            set.
        classes: default 1000, or the preset's data set's.

    Raises:
        SettingsError: there is no such architecture, or it does not fit the images.
    """
    key = name.lower().replace("/", "")
    valid = architecture_names()
    if key not in valid:
        raise SettingsError(f"model: received {name!r}{nearest(key, valid)}")
    build = _build_size if key in SIZES else _build_preset
    return Architecture(key, without_values(lambda: build(key, image_size, classes)))


def _build_size(name: str, image_size: ImageSize | None, classes: int | None) -> keras.Model:
    side, channels, default_classes = PAPER_IMAGES
    height, width = _sides(image_size or side)
    return MlpMixer((height, width, channels), classes or default_classes, **mixer_size(name))


def _build_preset(name: str, image_size: ImageSize | None, classes: int | None) -> keras.Model:
    settings = loading.build_settings(presets.read_preset(name))
    side, channels, default_classes = _source_images(settings.data.name)
    height, width = _sides(image_size or settings.data.image_size or side)
    settings = with_patch_size(settings, height, width)
    return build_model(settings, (height, width, channels), classes or default_classes)


def _sides(size: ImageSize) -> tuple[int, int]:
    return size if isinstance(size, tuple) else (size, size)


def _source_images(name: str | None) -> tuple[int, int, int]:
    """Return side in pixels, channels and classes of a preset's data set."""
    source = find_source(name)
    if source.image_shape is None or source.classes is None:
        raise SettingsError(
            f"data.name: received {name!r}, expected a data set whose images have one size"
        )
    height, _, channels = source.image_shape
    return height, channels, source.classes
