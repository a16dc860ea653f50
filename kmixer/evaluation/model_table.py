"""Every architecture by name, the paper's sizes and the presets' models, without their weights."""

from dataclasses import dataclass

import keras

from ..config import loading, presets
from ..errors import SettingsError, nearest
from ..layers import Patches, patch_grid
from ..models import SIZES, MlpMixer, count_flops, mixer_size
from ..models.factory import build_model, with_patch_size

# Side in pixels, channels, classes of the data sets that presets are for.
IMAGES = {
    "fmnist": (28, 1, 10), "mnist": (28, 1, 10), "cifar10": (32, 3, 10), "cifar100": (32, 3, 100),
}  # fmt: skip
PAPER = (224, 3, 1000)
RECIPES = ("finetune",)  # presets whose model is that of another run


@dataclass(frozen=True)
class Architecture:
    """A named model whose variables have shapes but no values.

    Attributes:
        name: one of the paper's sizes (`"b16"`), or a preset.
        model: a `keras.Model` that cannot be called.
    """

    name: str
    model: keras.Model

    def describe(self):
        """Return name, input shape, patch grids, classes, parameters and FLOPs, JSON-able."""
        return {
            "name": self.name,
            "input_shape": list(self.model.input_shape[1:]),
            "patch_grids": [list(grid) for grid in self._grids()],
            "classes": self.model.output_shape[-1],
            "parameters": self.model.count_params(),
            "flops": count_flops(self.model),
        }

    def _grids(self):
        for layer in self.model.layers:
            if isinstance(layer, Patches):
                yield patch_grid(layer.input.shape[1:3], layer.size, layer.stride)
            elif isinstance(layer, keras.layers.Conv2D) and layer.name.startswith("stem"):
                yield tuple(layer.output.shape[1:3])


def names():
    """Return the names of all architectures."""
    return [*SIZES, *(name for name in presets.preset_names() if name not in RECIPES)]


def architecture(name, image_size=None, classes=None):
    """Build an architecture without allocating its weights, whatever their size.

    Args:
        name: one of `names()`; a size also as the paper writes it, such as `"B/16"`.
        image_size: side in pixels; default 224, or that of the preset's data set.
        classes: default 1000, or the preset's data set's.

    Raises:
        SettingsError: there is no such architecture, or it does not fit the images.
    """
    key = name.lower().replace("/", "")
    if key not in names():
        raise SettingsError(f"model: received {name!r}{nearest(key, names())}")
    with keras.StatelessScope(initialize_variables=False):
        return Architecture(key, _build(key, image_size, classes))


def _build(name, image_size, classes):
    settings = None if name in SIZES else loading.build_settings(presets.read_preset(name))
    side, channels, count = IMAGES[settings.data.name] if settings else PAPER
    side = image_size or (settings and settings.data.image_size) or side
    shape = (side, side, channels)
    if settings is None:
        return MlpMixer(shape, classes or count, **mixer_size(name))
    return build_model(with_patch_size(settings, side), shape, classes or count)
