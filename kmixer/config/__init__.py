"""The settings of a run."""

from .augment import (
    AugmentSettings,
    CutMixSettings,
    MixUpSettings,
    RandAugmentSettings,
    RandomErasingSettings,
    RandomResizedCropSettings,
)
from .data import DataSettings
from .model import CnnSettings, MixerSettings, MlpSettings, ShiftMlpSettings
from .settings import Settings

__all__ = [
    "AugmentSettings",
    "CnnSettings",
    "CutMixSettings",
    "DataSettings",
    "MixUpSettings",
    "MixerSettings",
    "MlpSettings",
    "RandAugmentSettings",
    "RandomErasingSettings",
    "RandomResizedCropSettings",
    "Settings",
    "ShiftMlpSettings",
]
