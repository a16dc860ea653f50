"""The settings of a run."""

from .model import CnnSettings, MixerSettings, MlpSettings, ShiftMlpSettings
from .settings import (
    AugmentSettings,
    CutMixSettings,
    DataSettings,
    MixUpSettings,
    RandAugmentSettings,
    RandomErasingSettings,
    RandomResizedCropSettings,
    Settings,
)

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
