"""Checkpoints: weights, optimizer, seeds, metrics and counters, from which a training resumes.

The two newest are kept, each a file that is written aside, flushed to the disk and renamed; the
checksums in it show whether it is damaged.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from ..errors import DivergedError, RunError
from ..files import atomic
from ..files.npz import read_arrays
from ..layers import ResidentImages
from ..runs.run import CHECKPOINT_FILE, PREVIOUS_CHECKPOINT_FILE

if TYPE_CHECKING:
    from ..runs.run import Run

# The arrays of a checkpoint are called v0, v1, … (variables) and m0, m1, … (metrics).
VARIABLE, METRIC = "v", "m"


@dataclass
class Position:
    """How far a training has come.

    Attributes:
        rows: the history of its whole epochs.
        counters: JSON-able, of the callbacks that count epochs.
        step: steps of the next epoch that are done; all of them: its validation is missing.
        seconds: that those steps took.
        logs: the metrics over those steps.
        note: for the user, about the file that it was read from, or None.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    counters: dict[str, dict[str, Any]] = field(default_factory=dict)
    step: int = 0
    seconds: float = 0.0
    logs: dict[str, float] = field(default_factory=dict)
    note: str | None = None

    @property
    def epoch(self) -> int:
        """The epoch to continue with, counted from 0."""
        return len(self.rows)


@dataclass(frozen=True)
class SavedArrays:
    """The arrays of a checkpoint.

    Attributes:
        variables: of the model and its optimizer.
        metrics: over the steps of an unfinished epoch.
    """

    variables: Sequence[np.ndarray] = ()
    metrics: Sequence[np.ndarray] = ()


def save(run: Run, model: keras.Model, position: Position) -> None:
    """Write a checkpoint atomically; the newest one so far becomes the previous one.

    Args:
        run: the `Run`.
        model: the compiled model that is being trained.
        position: the `Position`.

    Raises:
        DivergedError: a weight is not finite; the checkpoints are as they were.
        RunError: the disk does not allow it; likewise.
    """
    weights = map(ops.convert_to_numpy, model.trainable_variables)
    if not all(np.isfinite(weight).all() for weight in weights):
        raise DivergedError("a weight is not finite")
    arrays = _numbered(VARIABLE, _variables(model))
    if position.step:
        arrays |= _numbered(METRIC, model.metrics_variables)
    state = json.dumps(asdict(position)).encode()
    previous = run.folder / PREVIOUS_CHECKPOINT_FILE
    with atomic.replacing(run.folder / CHECKPOINT_FILE, keep=previous) as temporary:
        np.savez(temporary, allow_pickle=False, state=np.frombuffer(state, np.uint8), **arrays)


def exists(folder: Path) -> bool:
    """Return whether a run folder holds a checkpoint, whole or not."""
    return any((folder / name).exists() for name in (CHECKPOINT_FILE, PREVIOUS_CHECKPOINT_FILE))


def read_position(path: Path) -> Position:
    """Return the `Position` in a checkpoint.

    Raises:
        ValueError: it is damaged, or no checkpoint.
        OSError: it cannot be opened.
    """
    return _position(read_arrays(path))


def load(run: Run, model: keras.Model) -> tuple[Position, SavedArrays]:
    """Put the newest undamaged checkpoint back into a compiled, built model.

    Returns:
        (the `Position`, what `restore_within_epoch` needs); the beginning if there is no
        checkpoint yet.

    Raises:
        RunError: all checkpoints are damaged or of another model.
    """
    names = (CHECKPOINT_FILE, PREVIOUS_CHECKPOINT_FILE)
    paths = [path for name in names if (path := run.folder / name).exists()]
    problems: list[str] = []
    for path in paths:
        try:
            position, arrays = _read(path, _variables(model))
        except (OSError, ValueError) as error:
            problems.append(f"{path}: {error}")
            continue
        _assign(_variables(model), arrays.variables)
        position.note = f"{problems[0]}; going on from {path.name}" if problems else None
        return position, arrays
    if problems:
        raise RunError("; ".join(problems))
    return Position(), SavedArrays()


def restore_within_epoch(model: keras.Model, arrays: SavedArrays) -> None:
    """Put back, once an epoch has begun, what beginning it has changed, and its metrics."""
    _assign(_variables(model), arrays.variables)
    if len(model.metrics_variables) < len(arrays.metrics):  # the first step would make them
        zeros = ops.zeros((1, model.output_shape[-1]))
        model.compute_metrics(None, zeros, zeros)
    _assign(model.metrics_variables, arrays.metrics)


def _variables(model: keras.Model) -> list[Any]:
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    # What never changes is not saved: the images that a model may hold.
    weights = [variable for variable in model.variables if variable.name != ResidentImages.VARIABLE]
    return [*weights, *model.optimizer.variables]


def _numbered(prefix: str, variables: Iterable[Any]) -> dict[str, np.ndarray]:
    """Return the values of variables, each under the prefix and its number."""
    return {f"{prefix}{i}": ops.convert_to_numpy(v) for i, v in enumerate(variables)}


def _in_order(prefix: str, arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return the arrays that `_numbered` gave the prefix."""
    return [arrays[name] for i in range(len(arrays)) if (name := f"{prefix}{i}") in arrays]


def _read(path: Path, variables: Sequence[Any]) -> tuple[Position, SavedArrays]:
    arrays = read_arrays(path)
    saved = SavedArrays(_in_order(VARIABLE, arrays), _in_order(METRIC, arrays))
    if [tuple(v.shape) for v in variables] != [array.shape for array in saved.variables]:
        raise RunError(f"{path}: its weights do not fit the model that config.yaml describes")
    return _position(arrays), saved


def _position(arrays: Mapping[str, np.ndarray]) -> Position:
    try:
        return Position(**json.loads(arrays["state"].tobytes()))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"damaged: its state cannot be read: {error}") from None


def _assign(variables: Iterable[Any], arrays: Iterable[np.ndarray]) -> None:
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
