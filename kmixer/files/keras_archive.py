"""Weights out of a `.keras` file, which is looked at before anything opens it."""

import json
import math
import stat
import warnings
import zipfile

from ..errors import RunError

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MEMBERS = {"metadata.json", CONFIG, WEIGHTS}
# An optimizer keeps up to four values beside each weight, of four bytes each; the rest is headroom.
BYTES_PER_PARAMETER, HEADROOM = 32, 16_000_000
LONGEST_SIDE = 8_000  # of images
BYTES_PER_BYTE = 20  # that a file may unpack to, where the model is not known yet
# What compiling adds to a model's description.
COMPILED = (
    "keras.losses", "keras.metrics", "keras.optimizers", "keras.src.backend", "kmixer>Warmup",
    "builtins",
)  # fmt: skip


def read_weights(path, model):
    """Read the weights of a `.keras` file into a model of the same architecture.

    The file's own description of a model is never deserialised: nothing in it is run.

    Args:
        path: the file.
        model: a built `keras.Model`.

    Raises:
        RunError: the file is missing, cut short, damaged, no `.keras` file, larger than the model's
            weights can be, of another model, or holds what no weights need.
    """
    described = check_file(path, BYTES_PER_PARAMETER * model.count_params() + HEADROOM)
    _check_description(path, described, model)
    try:
        with warnings.catch_warnings(record=True) as told:
            model.load_weights(path)
    except Exception as error:  # h5py and Keras raise eight different kinds here
        reason = " ".join(str(error).split())[:200]
        raise RunError(f"{path}: its weights cannot be read: {reason}") from error
    if any("freshly-initialized" in str(warning.message) for warning in told):
        raise RunError(f"{path}: its weights are not those of the model that config.yaml describes")
    _check_finite(path, model)


def check_run(run):
    """Refuse a run whose model cannot be had; imports no Keras, so that it is told at once.

    Args:
        run: the `Run`.

    Raises:
        RunError: its images' shape, its class names or its weights are missing or damaged.
    """
    shape = run.info["input_shape"]
    sides = shape if isinstance(shape, list) and len(shape) == 3 else ()
    if not sides or not all(type(side) is int and 0 < side <= LONGEST_SIDE for side in sides):
        raise RunError(
            f"{run.folder}: config.yaml: run.input_shape: received {shape!r}, expected [height,"
            f" width, channels], each from 1 to {LONGEST_SIDE:,}"
        )
    if len(run.class_names) < 2:
        raise RunError(
            f"{run.folder}: labels.txt: received {len(run.class_names)} class names, expected two"
            " or more, one a line"
        )
    check_file(run.folder / "model.keras")


def check_file(path, most=None):
    """Refuse a `.keras` file that is not whole, or not what it seems; imports no Keras.

    Args:
        path: the file.
        most: bytes that it may unpack to; by default a multiple of its own.

    Returns:
        What its config.json holds; it has not been compared with anything.

    Raises:
        RunError: see `read_weights`.
    """
    if not zipfile.is_zipfile(path):
        reason = (
            "damaged, or no .keras file" if path.exists() else "missing; has the first epoch ended?"
        )
        raise RunError(f"{path}: {reason}")
    most = most or BYTES_PER_BYTE * path.stat().st_size + HEADROOM
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive, most)
            damaged = archive.testzip()
            if damaged:
                raise RunError(f"{path}: damaged: {damaged} has a wrong checksum")
            check_weights(path, archive, WEIGHTS, most)
            return json.loads(archive.read(CONFIG))
    except RunError:
        raise
    except Exception as error:  # a flipped byte in a header raises several kinds
        reason = " ".join(str(error).split())[:200]
        raise RunError(f"{path}: damaged: {reason}") from None


def _check_members(path, archive, most):
    members = archive.infolist()
    names = sorted(info.filename for info in members)
    if names != sorted(MEMBERS):
        raise RunError(f"{path}: no .keras file: it holds {names[:4]}, expected {sorted(MEMBERS)}")
    for info in members:
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            raise RunError(f"{path}: {info.filename} is no file but a link")
    if (size := sum(info.file_size for info in members)) > most:
        raise RunError(f"{path}: it would unpack to {size:,} bytes, at most {most:,} are read")


def _check_description(path, described, model):
    """Refuse a file that describes another kind of model, though the description is not used."""
    from keras.saving import serialize_keras_object

    expected = _class_names(serialize_keras_object(model))
    foreign = {n for n in _class_names(described) - expected if not n.startswith(COMPILED)}
    if foreign:
        shown = ", ".join(sorted(foreign)[:3])
        raise RunError(f"{path}: holds {shown}, which the run's model has not")


def _class_names(value):
    """Return the name of each class that is described anywhere in nested dicts and lists."""
    if isinstance(value, list | tuple):
        return set().union(*map(_class_names, value))
    if not isinstance(value, dict):
        return set()
    found = {_class_name(value)} if "class_name" in value else set()
    return found.union(*map(_class_names, value.values()))


def _class_name(described):
    """Return the registered name of a class of kmixer, module and class of any other.

    A registered name stays when the module that holds the class is moved or renamed.
    """
    registered = str(described.get("registered_name"))
    if registered.startswith("kmixer>"):
        return registered
    return f"{described.get('module')}.{described['class_name']}"


def _check_finite(path, model):
    import numpy as np
    from keras import ops

    for weight in model.weights:
        if not np.isfinite(ops.convert_to_numpy(weight).astype("float32")).all():
            raise RunError(f"{path}: {weight.path} holds values that are not finite (NaN)")


def check_weights(path, archive, name, most):
    """Refuse weights that lie elsewhere, or that unpack to more than they may.

    Args:
        path: of the `.keras` file, for errors.
        archive: the open `zipfile.ZipFile`.
        name: of the HDF5 member.
        most: bytes that all arrays may have together.

    Raises:
        RunError: it holds a link, an array kept in another file, or more bytes.
        OSError: it is no HDF5 file, or damaged.
    """
    import h5py

    found = []
    try:
        with archive.open(name) as member, h5py.File(member, "r") as file:
            file.visititems_links(lambda at, link: found.append(_look(file, at, link)))
    except (KeyError, RuntimeError, TypeError, ValueError, OSError) as error:
        raise RunError(f"{path}: its weights cannot be read: {error}") from None
    for at, _, reason in found:
        if reason:
            raise RunError(f"{path}: {at} {reason}, expected arrays of numbers")
    if (size := sum(size for _, size, _ in found)) > most:
        raise RunError(f"{path}: its arrays have {size:,} bytes, at most {most:,} are read")


def _look(file, at, link):
    """Return a link's name, the bytes of the array that it leads to, and what is wrong with it."""
    import h5py

    if not isinstance(link, h5py.HardLink):
        return at, 0, "leads elsewhere"
    item = file[at]
    if not isinstance(item, h5py.Dataset):
        return at, 0, None if isinstance(item, h5py.Group) else "is a type"
    if item.external or item.is_virtual:
        return at, 0, "lies in another file"
    if item.dtype.kind not in "fiubV":
        return at, 0, f"holds {item.dtype}"
    return at, math.prod(item.shape) * item.dtype.itemsize, None
