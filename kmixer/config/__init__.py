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
from .settings import Settings

__all__ = [
    "AugmentSettings",
    "CutMixSettings",
    "DataSettings",
    "MixUpSettings",
    "RandAugmentSettings",
    "RandomErasingSettings",
    "RandomResizedCropSettings",
    "Settings",
]
