"""Reads published files of Mixer weights as arrays by name; imports no Keras."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes  # NumPy knows bfloat16 only after this import
import numpy as np

from ..errors import DataError, file_problem, one_line
from ..files.checksums import checksum
from ..files.npz import read_arrays
from .weight_names import LAYOUTS, Layout

Arrays = Mapping[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]
MOST_NAMED = 3  # arrays of a kind in an error


@dataclass(frozen=True)
class PublishedWeights:
    """A file of published weights.

    Attributes:
        path: the file.
        sha256: of the file.
        arrays: by the file's names.
        layout: the `Layout` of those names.
    """

    path: Path
    sha256: str
    arrays: Arrays
    layout: Layout

    @property
    def shapes(self) -> Shapes:
        """The arrays' shapes, by the file's names."""
        return {name: array.shape for name, array in self.arrays.items()}


def read_published(path: str | Path, layout: Layout | None = None) -> PublishedWeights:
    """Read a file of published weights; nothing is unpickled.

    Args:
        path: the original's `.npz` or timm's `.safetensors`.
        layout: of its names; by default the one whose names it has.

    Returns:
        Its arrays; whether they are a Mixer's is not checked.

    Raises:
        DataError: the file cannot be read, or has neither library's names.
    """
    path = Path(path)
    sha256, arrays = _sha256(path), _read(path)
    return PublishedWeights(path, sha256, arrays, layout or find_layout(path, arrays))


def read_shapes(path: Path) -> Shapes:
    """Return the shapes of the arrays of a `.safetensors` file by their names, from its header.

    Raises:
        DataError: the file cannot be read, or its header is none or claims more than is there.
    """
    from safetensors import safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            return {name: tuple(file.get_slice(name).get_shape()) for name in names}
    except Exception as error:  # as in _read
        raise DataError(f"{path}: cannot be read: {one_line(error)}") from error


def _sha256(path: Path) -> str:
    try:
        return checksum(path)["sha256"]
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {file_problem(error)}") from None


def _read(path: Path) -> Arrays:
    """Return the file's arrays by name."""
    if path.suffix not in READERS:
        raise DataError(f"{path}: received {path.suffix!r}, expected one of {', '.join(READERS)}")
    try:
        return READERS[path.suffix](path)
    except Exception as error:  # zipfile, zlib, NumPy and safetensors raise a dozen kinds here
        raise DataError(f"{path}: cannot be read: {one_line(error)}") from error


def _read_npz(path: Path) -> Arrays:
    return {name: _as_bfloat16(array) for name, array in read_arrays(path).items()}


def _as_bfloat16(array: np.ndarray) -> np.ndarray:
    """Return an array of bfloat16 as such: NumPy stores it as two bytes without a name."""
    return array.view(ml_dtypes.bfloat16) if array.dtype.str == "|V2" else array


def _read_safetensors(path: Path) -> Arrays:
    from safetensors.numpy import load_file

    return load_file(path)


READERS: dict[str, Callable[[Path], Arrays]] = {
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
}


def find_layout(path: str | Path, arrays: Collection[str]) -> Layout:
    """Return the layout whose names a file has.

    Args:
        path: the file, or what to call it in the error.
        arrays: their names.

    Raises:
        DataError: it has neither library's names.
    """
    for layout in LAYOUTS:
        if any(layout.file_name(name) in arrays for name in ("stem/kernel", "head/kernel")):
            return layout
    names = f": {abbreviate(arrays)}" if arrays else ""
    raise DataError(
        f"{path}: no stem/kernel of the original's and no stem.proj.weight of timm's among its"
        f" {len(arrays)} arrays{names}"
    )


def abbreviate(names: Iterable[str]) -> str:
    """Return the first names and the number of the others, such as `a, b, c and 7 more`."""
    names = list(names)
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
