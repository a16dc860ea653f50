"""Arrays of a file of weights → a model of exactly their shapes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    import keras

    from ..models.published_weights import PublishedWeights, Shapes
    from ..models.weight_names import Layout

FLOATS = ("float16", "bfloat16", "float32", "float64")


def check_arrays(
    published: PublishedWeights, weights: Iterable[Any], expected: str, hint: str = ""
) -> None:
    """Refuse a file whose arrays are not exactly those of a model.

    Args:
        published: the file.
        weights: the model's, which need no values.
        expected: what the arrays should be of, such as `size b16`.
        hint: added to the error.

    Raises:
        DataError: arrays are missing, are too many or have other shapes.
    """
    from ..models.published_weights import abbreviate

    mismatches = find_mismatches(published.shapes, published.layout, weights)
    if mismatches:
        kinds = "; ".join(f"{kind}: {abbreviate(names)}" for kind, names in mismatches.items())
        raise DataError(f"{published.path}: its arrays are not those of {expected}: {kinds}{hint}")


def find_mismatches(shapes: Shapes, layout: Layout, weights: Iterable[Any]) -> dict[str, list[str]]:
    """Return the missing, extra and misshapen arrays; empty where all fit.

    Args:
        shapes: of the file's arrays, by their names.
        layout: of those names.
        weights: the model's, which need no values.
    """
    expected = {layout.file_name(w.path): layout.file_shape(w.shape) for w in weights}
    found = {
        "missing": [name for name in expected if name not in shapes],
        "extra": [name for name in shapes if name not in expected],
        "misshapen": [
            f"{name} {_times(shapes[name])} (expected {_times(shape)})"
            for name, shape in expected.items()
            if name in shapes and shapes[name] != shape
        ],
    }
    return {kind: names for kind, names in found.items() if names}


def assign_arrays(published: PublishedWeights, model: keras.Model) -> None:
    """Assign a file's arrays, which `check_arrays` has let through, to a model's weights.

    Raises:
        DataError: an array is not of floats, or holds values that are not finite.
    """
    layout = published.layout
    for weight in model.weights:
        name = layout.file_name(weight.path)
        array = _float32(published.path, name, published.arrays[name])
        weight.assign(layout.to_our_axes(array))


def _float32(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    """Return the array as float32.

    Raises:
        DataError: its type is no floating-point type, or it holds values that are not finite.
    """
    if array.dtype.name not in FLOATS:
        raise DataError(f"{path}: {name}: received {array.dtype}, expected {', '.join(FLOATS)}")
    with np.errstate(over="ignore"):  # what float32 cannot hold is caught as infinite
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise DataError(f"{path}: {name}: holds values that are not finite; download it again")
    return array


def _times(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "a single value"
