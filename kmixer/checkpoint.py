"""What a run needs to go on: weights, optimizer, seeds and counters after a whole epoch."""

import json
import zipfile

import numpy as np
from keras import ops

from . import atomic
from .errors import RunError
from .layers import ResidentImages

NAME = "checkpoint.npz"


def save(run, model, rows, counters):
    """Write the checkpoint atomically.

    Args:
        run: the `Run`.
        model: the compiled model that is being trained.
        rows: the history so far; its length is the number of whole epochs.
        counters: a JSON-able dict, such as the callbacks' counters.
    """
    arrays = {f"v{i}": ops.convert_to_numpy(v) for i, v in enumerate(_variables(model))}
    state = json.dumps({"rows": rows, "counters": counters})
    with atomic.replacing(run.folder / NAME) as temporary:
        np.savez(temporary, state=np.frombuffer(state.encode(), np.uint8), **arrays)


def load(run, model):
    """Put a checkpoint back into a compiled, built model.

    Returns:
        (rows, counters), or None if no epoch has ended yet.

    Raises:
        RunError: the checkpoint is damaged or of another model.
    """
    path = run.folder / NAME
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            state = json.loads(file["state"].tobytes())
            arrays = [file[f"v{i}"] for i in range(len(file.files) - 1)]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise RunError(f"{path}: damaged: {error}") from None
    _restore(path, _variables(model), arrays)
    return state["rows"], state["counters"]


def _variables(model):
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    # What never changes is not saved: the images that a model may hold.
    weights = [variable for variable in model.variables if variable.name != ResidentImages.VARIABLE]
    return [*weights, *model.optimizer.variables]


def _restore(path, variables, arrays):
    if [tuple(v.shape) for v in variables] != [a.shape for a in arrays]:
        raise RunError(f"{path}: its weights do not fit the model that config.yaml describes")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
