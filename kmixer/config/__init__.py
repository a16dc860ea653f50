"""The settings of a run."""

from .model import CnnSettings, MixerSettings, MlpSettings, ShiftMlpSettings
from .settings import (
    AugmentSettings,
    DataSettings,
    RandomErasingSettings,
    RandomResizedCropSettings,
    Settings,
)

__all__ = [
    "AugmentSettings",
    "CnnSettings",
    "DataSettings",
    "MixerSettings",
    "MlpSettings",
    "RandomErasingSettings",
    "RandomResizedCropSettings",
    "Settings",
    "ShiftMlpSettings",
]
