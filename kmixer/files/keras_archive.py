"""Weights from a `.keras` file, which is checked before anything in it is used."""

from __future__ import annotations

import json
import math
import stat
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import RunError, one_line

if TYPE_CHECKING:
    import h5py
    import keras

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MEMBERS = {"metadata.json", CONFIG, WEIGHTS}
# An optimizer keeps up to four values beside each weight, of four bytes each; the rest is headroom.
BYTES_PER_PARAMETER, HEADROOM = 32, 16_000_000
BYTES_PER_BYTE = 20  # that a file may unpack to, where the model is not known yet
# What compiling adds to a model's description.
COMPILED = (
    "keras.losses", "keras.metrics", "keras.optimizers", "keras.src.backend", "kmixer>Warmup",
    "kmixer>Extended", "builtins",
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
    if not zipfile.is_zipfile(path):
        exists = path.exists()
        problem = "damaged, or no .keras file" if exists else "missing; has the first epoch ended?"
        raise RunError(f"{path}: {problem}")
    most_bytes = most_bytes or BYTES_PER_BYTE * path.stat().st_size + HEADROOM
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive, most_bytes)
            damaged = archive.testzip()
            if damaged:
                raise RunError(f"{path}: damaged: {damaged} has a wrong checksum")
            _check_arrays(path, archive, most_bytes)
            return json.loads(archive.read(CONFIG))
    except RunError:
        raise
    except Exception as error:  # a flipped byte in a header raises several kinds
        raise RunError(f"{path}: damaged: {one_line(error)}") from None


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


class _Item(NamedTuple):
    """An entry of an HDF5 file: its name, the bytes of its array, and why it is refused."""

    name: str
    size: int = 0
    problem: str | None = None


def _check_arrays(path: Path, archive: zipfile.ZipFile, most_bytes: int) -> None:
    """Refuse weights that are links or stored externally, or arrays larger than allowed.

    An array may claim more bytes than the HDF5 file has: its chunks need not exist.
    """
    import h5py

    items: list[_Item] = []
    try:
        with archive.open(WEIGHTS) as member, h5py.File(member, "r") as file:
            file.visititems_links(lambda name, link: items.append(_inspect(file, name, link)))
    except (KeyError, RuntimeError, TypeError, ValueError, OSError) as error:
        raise RunError(f"{path}: its weights cannot be read: {one_line(error)}") from None
    for item in items:
        if item.problem:
            raise RunError(f"{path}: {item.name} {item.problem}, expected arrays of numbers")
    if (size := sum(item.size for item in items)) > most_bytes:
        raise RunError(f"{path}: its arrays have {size:,} bytes, at most {most_bytes:,} are read")


def _inspect(file: h5py.File, name: str, link: object) -> _Item:
    import h5py

    if not isinstance(link, h5py.HardLink):
        return _Item(name, problem="is a link")
    entry = file[name]
    if isinstance(entry, h5py.Group):
        return _Item(name)
    if not isinstance(entry, h5py.Dataset):
        return _Item(name, problem="is a type")
    if entry.external or entry.is_virtual:
        return _Item(name, problem="is stored externally")
    if entry.dtype.kind not in "fiubV":
        return _Item(name, problem=f"holds {entry.dtype}")
    return _Item(name, math.prod(entry.shape) * entry.dtype.itemsize)
