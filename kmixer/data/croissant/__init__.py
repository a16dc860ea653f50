"""A data set's description as Croissant, the JSON-LD of MLCommons that data catalogues read."""

from .describe import describe

__all__ = ["describe"]
