"""Searches over settings: a space, an engine that draws points, a training for each, results."""

from typing import Any

__all__ = ["MixerHyperModel"]


def __getattr__(name: str) -> Any:
    if name == "MixerHyperModel":  # KerasTuner takes seconds to import
        from .hypermodel import MixerHyperModel

        return MixerHyperModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
