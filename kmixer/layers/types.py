"""Names for the types that Keras leaves open."""

from typing import Any

Tensor = Any  # a backend's array, or Keras' symbolic one while a model is being built
Shape = tuple[Any, ...]  # integers; None for the batch's size
