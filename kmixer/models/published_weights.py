"""Published files of Mixer weights, read: arrays by their names; imports no Keras."""

from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

import ml_dtypes  # NumPy knows bfloat16 only after it

from ..errors import DataError
from ..files.npz import read_arrays
from .weight_names import LAYOUTS, Layout

MOST_NAMED = 3  # arrays of a kind in an error


@dataclass(frozen=True)
class Published:
    """A file of published weights.

    Attributes:
        path: the file.
        sha256: of the file.
        arrays: by the file's names.
        layout: the `Layout` of those names.
    """

    path: Path
    sha256: str
    arrays: dict
    layout: Layout


def read_published(path):
    """Read a file of published weights; nothing is unpickled.

    Args:
        path: the original's `.npz` or timm's `.safetensors`.

    Returns:
        A `Published`; whether its arrays are a Mixer's is not looked at.

    Raises:
        DataError: the file cannot be read, or is neither's.
    """
    path = Path(path)
    digest, arrays = _digest(path), _read(path)
    return Published(path, digest, arrays, _layout(path, arrays))


def _digest(path):
    try:
        with open(path, "rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def _read(path):
    """Return the file's arrays by their names; nothing is unpickled."""
    if path.suffix not in READERS:
        raise DataError(f"{path}: received {path.suffix!r}, expected one of {', '.join(READERS)}")
    try:
        return READERS[path.suffix](path)
    except Exception as error:  # zipfile, zlib, NumPy and safetensors raise a dozen kinds here
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: cannot be read: {reason}") from error


def _npz(path):
    return {name: _bfloat16(array) for name, array in read_arrays(path).items()}


def _bfloat16(array):
    """Return what NumPy stores of bfloat16, two nameless bytes, as bfloat16."""
    return array.view(ml_dtypes.bfloat16) if array.dtype.str == "|V2" else array


def _safetensors(path):
    from safetensors.numpy import load_file

    return load_file(path)


READERS = {".npz": _npz, ".safetensors": _safetensors}


def _layout(path, arrays):
    """Return the layout whose names the file has."""
    for layout in LAYOUTS:
        if any(layout.file_name(name) in arrays for name in ("stem/kernel", "head/kernel")):
            return layout
    raise DataError(
        f"{path}: no stem/kernel of the original's and no stem.proj.weight of timm's among its"
        f" {len(arrays)} arrays{': ' * bool(arrays)}{few(arrays)}"
    )


def few(names):
    """Return the first names, and how many there are besides."""
    names = list(names)
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
