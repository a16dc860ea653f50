"""How large a model is, told before any of it is in memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..data.memory import memory_limit
from ..errors import RunError
from ..files.keras_archive import check_shapes, weight_shapes

if TYPE_CHECKING:
    import keras

    from .run import Run

MODEL_FILE = "model.keras"
BYTES, LEAST_BYTES = 4, 2  # of a weight, which is float32; of a layer's number in mixed precision


def check_depth(run: Run) -> None:
    """Refuse a run whose settings describe more layers than its weights' file has arrays.

    Its model would take long to build, and then not fit its weights; imports no Keras.

    Raises:
        RunError: see above, or the file is damaged.
    """
    path, depth = run.folder / MODEL_FILE, run.settings.model.depth
    if depth > (arrays := len(weight_shapes(path))):
        raise RunError(
            f"{path}: its weights are not those of the model that config.yaml describes: it holds"
            f" {arrays:,} arrays, the model has {depth:,} layers"
        )


def check_weights_fit(run: Run) -> None:
    """Refuse a run whose settings describe other weights than its file holds, or too large images.

    The model is built without values, which takes no memory whatever its size.

    Raises:
        RunError: see above.
    """
    from ..models.factory import without_values

    check_depth(run)
    model = without_values(run.build_model)
    check_shapes(run.folder / MODEL_FILE, [tuple(weight.shape) for weight in model.weights])
    if problem := too_large(model, 1, 1):
        raise RunError(f"{run.folder}: config.yaml: {problem}")


def too_large(model: keras.Model, numbers: int, images: int) -> str:
    """Return why a model surely does not fit into the memory; an empty text: it may.

    Args:
        model: built, with or without values.
        numbers: that are kept for each parameter.
        images: that are computed on together.
    """
    limit = memory_limit()
    if limit is None:
        return ""
    parameters = model.count_params()
    if (size := parameters * BYTES * numbers) > limit:
        return (
            f"received a model of {parameters:,} parameters, which take {_gigabytes(size)},"
            f" expected at most this machine's memory, {_gigabytes(limit)}"
        )
    layer = max(model.layers, key=_values)
    values = _values(layer)
    if (size := values * images * LEAST_BYTES) > limit:
        return (
            f"received a model whose layer {layer.name} gives {values:,} numbers an image,"
            f" {_gigabytes(size)} for {images:,} images, expected at most this machine's memory,"
            f" {_gigabytes(limit)}"
        )
    return ""


def _values(layer: keras.Layer) -> int:
    """Return how many numbers a layer gives for an image."""
    return math.prod(side for side in layer.output.shape[1:] if side is not None)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"
