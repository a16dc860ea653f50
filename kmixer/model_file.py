"""Weights out of a `.keras` file, which is looked at before anything opens it."""

import zipfile

from .errors import RunError

MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
# An optimizer keeps up to four values beside each weight, of four bytes each; the rest is headroom.
BYTES_PER_PARAMETER, HEADROOM = 32, 16_000_000


def read_weights(path, model):
    """Read the weights of a `.keras` file into a model of the same architecture.

    The file's own description of a model is never deserialised: nothing in it is run.

    Args:
        path: the file.
        model: a built `keras.Model`.

    Raises:
        RunError: the file is missing, cut short, damaged, no `.keras` file, larger than the model's
            weights can be, or of another model.
    """
    _check(path, model.count_params())
    try:
        model.load_weights(path)
    except Exception as error:  # h5py and Keras raise eight different kinds here
        reason = " ".join(str(error).split())[:200]
        raise RunError(f"{path}: its weights cannot be read: {reason}") from error


def _check(path, parameters):
    if not zipfile.is_zipfile(path):
        reason = (
            "damaged, or no .keras file" if path.exists() else "missing; has the first epoch ended?"
        )
        raise RunError(f"{path}: {reason}")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive, parameters)
            damaged = archive.testzip()
    except RunError:
        raise
    except Exception as error:  # a flipped byte in a header raises several kinds
        raise RunError(f"{path}: damaged: {error}") from None
    if damaged:
        raise RunError(f"{path}: damaged: {damaged} has a wrong checksum")


def _check_members(path, archive, parameters):
    members, most = archive.infolist(), BYTES_PER_PARAMETER * parameters + HEADROOM
    names = {info.filename for info in members}
    if names != MEMBERS:
        raise RunError(
            f"{path}: no .keras file: it holds {sorted(names)[:4]}, expected {sorted(MEMBERS)}"
        )
    if (size := sum(info.file_size for info in members)) > most:
        raise RunError(
            f"{path}: it would unpack to {size:,} bytes, at most {most:,} are read for a model"
            f" of {parameters:,} parameters"
        )
