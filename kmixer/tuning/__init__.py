"""Searches: a space of settings, an engine that draws points, a run for each, what was found."""

__all__ = ["MixerHyperModel"]


def __getattr__(name):
    if name == "MixerHyperModel":  # KerasTuner takes seconds to import
        from .hypermodel import MixerHyperModel

        return MixerHyperModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
