"""The settings of a run."""

from .augment import AugmentSettings
from .data import DataSettings
from .settings import Settings

__all__ = [
    "AugmentSettings",
    "DataSettings",
    "Settings",
]
