"""Weights from a `.keras` file, which is checked before anything in it is used."""

from __future__ import annotations

import io
import json
import math
import stat
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import RunError, one_line
from .zip_directory import check_directory

if TYPE_CHECKING:
    import h5py
    import keras
    import numpy as np

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MEMBERS = {"metadata.json", CONFIG, WEIGHTS}
# An optimizer keeps up to four values beside each weight, of four bytes each; the rest is headroom.
BYTES_PER_PARAMETER, HEADROOM = 32, 16_000_000
BYTES_PER_BYTE = 4  # that a file may unpack to, where the model is not known yet; Keras packs none
# Members of a zip file, groups and arrays of an HDF5 file, and how deep they lie; of a model with
# twelve Mixer blocks there are 454.
MOST_ITEMS, DEEPEST = 10_000, 20
# What compiling adds to a model's description.
COMPILED = (
    "keras.losses", "keras.metrics", "keras.optimizers", "keras.src.backend", "kmixer>Warmup",
    "kmixer>Extended", "kmixer>Muon", "builtins",
)  # fmt: skip


def read_weights(path: Path, model: keras.Model) -> None:
    """Read the weights of a `.keras` file into a model of the same architecture.

    The file's own description of a model is never deserialized: nothing in it is run.

    Args:
        path: the file.
        model: a built `keras.Model`.

    Raises:
        RunError: the file is missing, cut short, damaged, no `.keras` file, larger than the model's
            weights can be, of another model, or holds more than weights need.
    """
    description = check_file(path, BYTES_PER_PARAMETER * model.count_params() + HEADROOM)
    _check_description(path, description, model)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.load_weights(path)
    except Exception as error:  # h5py and Keras raise eight different kinds here
        raise RunError(f"{path}: its weights cannot be read: {one_line(error)}") from error
    if any("freshly-initialized" in str(warning.message) for warning in caught):
        raise RunError(f"{path}: its weights are not those of the model that config.yaml describes")
    _check_finite(path, model)


def check_file(path: Path, most_bytes: int | None = None) -> Any:
    """Refuse a damaged or unsafe `.keras` file; imports no Keras.

    Args:
        path: the file.
        most_bytes: that it may unpack to; by default a multiple of its own size.

    Returns:
        The content of its config.json; it has not been compared with anything.

    Raises:
        RunError: see `read_weights`.
    """
    with _opened(path, most_bytes) as archive:
        damaged = archive.testzip()
        if damaged:
            raise RunError(f"{path}: damaged: {damaged} has a wrong checksum")
        size = sum(array.size for array in _arrays(path, archive))  # which the file need not have
        if size > (most := most_bytes or _most_bytes(path)):
            raise RunError(f"{path}: its arrays have {size:,} bytes, at most {most:,} are read")
        return json.loads(archive.read(CONFIG))


@contextmanager
def _opened(path: Path, most_bytes: int | None = None) -> Iterator[zipfile.ZipFile]:
    """Open a `.keras` file whose members may be read; what is wrong with it is a RunError."""
    if not path.is_file() or not zipfile.is_zipfile(path):  # a named pipe would wait
        exists = path.exists()
        problem = "damaged, or no .keras file" if exists else "missing; has the first epoch ended?"
        raise RunError(f"{path}: {problem}")
    try:
        with path.open("rb") as file:
            check_directory(file)
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive, most_bytes or _most_bytes(path))
            yield archive
    except RunError:
        raise
    except Exception as error:  # a flipped byte in a header raises several kinds
        raise RunError(f"{path}: damaged: {one_line(error)}") from None


def _most_bytes(path: Path) -> int:
    return BYTES_PER_BYTE * path.stat().st_size + HEADROOM


def _check_members(path: Path, archive: zipfile.ZipFile, most_bytes: int) -> None:
    members = archive.infolist()
    names = sorted(info.filename for info in members)
    if names != sorted(MEMBERS):
        raise RunError(f"{path}: no .keras file: it holds {names[:4]}, expected {sorted(MEMBERS)}")
    for info in members:
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            raise RunError(f"{path}: {info.filename} is a link, expected a file")
    if (size := sum(info.file_size for info in members)) > most_bytes:
        raise RunError(
            f"{path}: it would unpack to {size:,} bytes, at most {most_bytes:,} are read"
        )


def _check_description(path: Path, description: Any, model: keras.Model) -> None:
    """Refuse a file that describes another kind of model, though the description is not used."""
    from keras.saving import serialize_keras_object

    expected = _class_names(serialize_keras_object(model))
    # Where kmixer has a form of Keras' layer, a file may hold Keras' own: the weights are the same.
    expected |= {name.replace("kmixer>", "keras.layers.") for name in expected}
    foreign = {
        name for name in _class_names(description) - expected if not name.startswith(COMPILED)
    }
    if foreign:
        names = ", ".join(sorted(foreign)[:3])
        raise RunError(f"{path}: holds {names}, which the run's model does not contain")


def _class_names(value: Any) -> set[str]:
    """Return the name of each class that is described anywhere in nested dicts and lists."""
    if isinstance(value, list | tuple):
        return set().union(*map(_class_names, value))
    if not isinstance(value, dict):
        return set()
    names = {_class_name(value)} if "class_name" in value else set()
    return names.union(*map(_class_names, value.values()))


def _class_name(description: dict[str, Any]) -> str:
    """Return the registered name of a class of kmixer, module and class of any other.

    A registered name stays when the module that holds the class is moved or renamed.
    """
    registered = str(description.get("registered_name"))
    if registered.startswith("kmixer>"):
        return registered
    return f"{description.get('module')}.{description['class_name']}"


def _check_finite(path: Path, model: keras.Model) -> None:
    import numpy as np
    from keras import ops

    for weight in model.weights:
        if not np.isfinite(ops.convert_to_numpy(weight).astype("float32")).all():
            raise RunError(f"{path}: {weight.path} holds values that are not finite (NaN)")


def weight_shapes(path: Path) -> list[tuple[int, ...]]:
    """Return the shapes of the arrays in a `.keras` file; no array is read.

    Raises:
        RunError: the file is missing or damaged, or its weights are links, stored elsewhere, or in
            pieces.
    """
    with _opened(path) as archive:
        return [array.shape for array in _arrays(path, archive)]


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the weights in a `.keras` file by their names in it, sorted; imports no Keras.

    Raises:
        RunError: the file is missing, damaged or unsafe.
    """
    import h5py

    check_file(path)
    names: list[str] = []

    def note(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            names.append(name)

    try:
        with zipfile.ZipFile(path) as archive:
            content = io.BytesIO(archive.read(WEIGHTS))  # reading back in an archive is slow
        with h5py.File(content, "r") as file:
            file.visititems(note)
            return {name: file[name][()] for name in sorted(names)}
    except (KeyError, OSError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
        raise RunError(f"{path}: its weights cannot be read: {one_line(error)}") from None


def check_shapes(path: Path, shapes: Iterable[tuple[int, ...]]) -> None:
    """Refuse a `.keras` file that lacks arrays of these shapes; no array is read.

    Args:
        path: the file.
        shapes: of a model's weights.

    Raises:
        RunError: it lacks one, or see `weight_shapes`.
    """
    if missing := Counter(shapes) - Counter(weight_shapes(path)):
        shape = "×".join(map(str, next(iter(missing)))) or "a single number"
        raise RunError(
            f"{path}: its weights are not those of the model that config.yaml describes: it holds"
            f" {'no other' if len(missing) > 1 else 'no'} array of {shape}"
        )


class _Array(NamedTuple):
    """An array of an HDF5 file."""

    shape: tuple[int, ...]
    size: int  # bytes that it takes in memory


def _arrays(path: Path, archive: zipfile.ZipFile) -> list[_Array]:
    """Return what the arrays of the weights claim to be.

    Raises:
        RunError: something else than arrays of numbers is there, or too much.
    """
    import h5py

    try:
        # Reading on in the zip file begins anew with every step back, of which there are many.
        with h5py.File(io.BytesIO(archive.read(WEIGHTS)), "r") as file:
            arrays = []
            for number, array in enumerate(_walk(file, "", 0)):
                if number == MOST_ITEMS:
                    raise _UnsafeWeightsError(f"hold more than {MOST_ITEMS:,} groups and arrays")
                arrays += [array] if array else []
            return arrays
    except _UnsafeWeightsError as error:
        raise RunError(f"{path}: its weights: {error}, expected arrays of numbers") from None
    except (KeyError, RuntimeError, TypeError, ValueError, OSError) as error:
        raise RunError(f"{path}: its weights cannot be read: {one_line(error)}") from None


class _UnsafeWeightsError(Exception):
    """What is wrong with the weights' file."""


def _walk(group: h5py.Group, above: str, depth: int) -> Iterator[_Array | None]:
    """Yield each array in and below a group, and None for each group; no link is followed."""
    import h5py

    if depth > DEEPEST:
        raise _UnsafeWeightsError(f"groups lie deeper than {DEEPEST} levels")
    if len(group) > MOST_ITEMS:
        raise _UnsafeWeightsError(f"{above or 'the top'} holds {len(group):,} groups and arrays")
    for name in group:
        yield None
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise _UnsafeWeightsError(f"{above}{name} is a link")
        entry = group[name]
        if isinstance(entry, h5py.Group):
            yield from _walk(entry, f"{above}{name}/", depth + 1)
        else:
            yield _array(entry, f"{above}{name}")


def _array(entry: h5py.Dataset | h5py.Datatype, name: str) -> _Array:
    import h5py

    if not isinstance(entry, h5py.Dataset):
        raise _UnsafeWeightsError(f"{name} is a type")
    if entry.external or entry.is_virtual:
        raise _UnsafeWeightsError(f"{name} is stored externally")
    if entry.chunks is not None:  # which can be packed, and larger than the array; Keras' are not
        raise _UnsafeWeightsError(f"{name} is stored in pieces")
    if entry.dtype.kind not in "fiubV":
        raise _UnsafeWeightsError(f"{name} holds {entry.dtype}")
    if entry.shape is None:
        raise _UnsafeWeightsError(f"{name} holds nothing")
    return _Array(entry.shape, math.prod(entry.shape) * entry.dtype.itemsize)
