"""What a training needs to go on where it was: weights, optimizer, seeds, metrics and counters.

The two last ones are kept, each a file that is written aside, flushed to the disk and renamed; the
checksums in it tell a damaged one.
"""

import json
from dataclasses import asdict, dataclass, field

import numpy as np
from keras import ops

from ..errors import DivergedError, RunError
from ..files import atomic
from ..files.npz import read_arrays
from ..layers import ResidentImages

NAME, PREVIOUS = "checkpoint.npz", "checkpoint.previous.npz"


@dataclass
class Place:
    """How far a training has come.

    Attributes:
        rows: the history of its whole epochs.
        counters: JSON-able, of the callbacks that count epochs.
        step: steps of the next epoch that are done; all of them: it waits for its validation.
        seconds: that those steps took.
        logs: the metrics over those steps.
        note: what is to be told about where it was read from, or None.
    """

    rows: list = field(default_factory=list)
    counters: dict = field(default_factory=dict)
    step: int = 0
    seconds: float = 0.0
    logs: dict = field(default_factory=dict)
    note: str | None = None

    @property
    def epoch(self):
        """The epoch to go on with, counted from 0."""
        return len(self.rows)


def save(run, model, place):
    """Write a checkpoint atomically; the newest one so far becomes the previous one.

    Args:
        run: the `Run`.
        model: the compiled model that is being trained.
        place: the `Place`.

    Raises:
        DivergedError: a weight is no finite number; the checkpoints are as they were.
        RunError: the disk does not allow it; likewise.
    """
    trained = map(ops.convert_to_numpy, model.trainable_variables)
    if not all(np.isfinite(weight).all() for weight in trained):
        raise DivergedError("a weight is no finite number")
    arrays = {f"v{i}": ops.convert_to_numpy(v) for i, v in enumerate(_variables(model))}
    metrics = enumerate(model.metrics_variables if place.step else [])
    arrays |= {f"m{i}": ops.convert_to_numpy(variable) for i, variable in metrics}
    state = json.dumps(asdict(place))
    with atomic.replacing(run.folder / NAME, keep=run.folder / PREVIOUS) as temporary:
        np.savez(temporary, state=np.frombuffer(state.encode(), np.uint8), **arrays)


def exists(folder):
    """Return whether a run folder holds a checkpoint, whole or not."""
    return any((folder / name).exists() for name in (NAME, PREVIOUS))


def read_place(path):
    """Return the `Place` in a checkpoint.

    Raises:
        ValueError: it is damaged, or no checkpoint.
        OSError: it cannot be opened.
    """
    return _place(read_arrays(path))


def load(run, model):
    """Put the newest whole checkpoint back into a compiled, built model.

    Returns:
        (the `Place`, what `restore_within` needs); the beginning if there is no checkpoint yet.

    Raises:
        RunError: all that there are, are damaged or of another model.
    """
    paths = [path for name in (NAME, PREVIOUS) if (path := run.folder / name).exists()]
    problems = []
    for path in paths:
        try:
            place, weights, metrics = _read(path, _variables(model))
        except (OSError, ValueError) as error:
            problems.append(f"{path}: {error}")
            continue
        _assign(_variables(model), weights)
        place.note = f"{problems[0]}; going on from {path.name}" if problems else None
        return place, (weights, metrics)
    if problems:
        raise RunError("; ".join(problems))
    return Place(), ((), ())


def restore_within(model, arrays):
    """Put back, once an epoch has begun, what beginning it has changed, and its metrics."""
    weights, metrics = arrays
    _assign(_variables(model), weights)
    if len(model.metrics_variables) < len(metrics):  # the first step would make them
        nothing = ops.zeros((1, model.output_shape[-1]))
        model.compute_metrics(None, nothing, nothing)
    _assign(model.metrics_variables, metrics)


def _variables(model):
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    # What never changes is not saved: the images that a model may hold.
    weights = [variable for variable in model.variables if variable.name != ResidentImages.VARIABLE]
    return [*weights, *model.optimizer.variables]


def _read(path, variables):
    arrays = read_arrays(path)
    weights, metrics = (
        [arrays[name] for i in range(len(arrays)) if (name := f"{kind}{i}") in arrays]
        for kind in "vm"
    )
    _check(path, variables, weights)
    return _place(arrays), weights, metrics


def _place(arrays):
    try:
        return Place(**json.loads(arrays["state"].tobytes()))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"damaged: its state cannot be read: {error}") from None


def _check(path, variables, arrays):
    if [tuple(v.shape) for v in variables] != [a.shape for a in arrays]:
        raise RunError(f"{path}: its weights do not fit the model that config.yaml describes")


def _assign(variables, arrays):
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
