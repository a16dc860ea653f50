"""Checkpoints: weights, optimizer, seeds, metrics and counters, from which a training resumes.

The two newest are kept, each a file that is written aside, flushed to the disk and renamed; the
checksums in it show whether it is damaged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from ..errors import DivergedError, RunError, one_line
from ..files import atomic
from ..files.npz import read_arrays
from ..files.seal import is_sealed, seal
from ..layers import ResidentImages
from ..runs.consistency import has_checkpoint
from ..runs.run import CHECKPOINT_FILE, HISTORY_FILE, MODEL_FILE, PREVIOUS_CHECKPOINT_FILE
from .checkpoint_state import Position, check_belongs, check_position, read_state, write_state

if TYPE_CHECKING:
    from ..runs.run import Run

# The arrays of a checkpoint are called v0, v1, … (variables), m0, m1, … (metrics) and b0, b1, …
# (the classifier's variables after the best epoch so far), beside the state.
VARIABLE, METRIC, BEST, STATE = "v", "m", "b", "state"
LONGEST_PROBLEM = 300  # characters


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
    variables = _numbered(VARIABLE, _variables(model))
    if not all(map(_is_finite, variables.values())):
        raise DivergedError("a weight is not finite")
    arrays = variables | {f"{BEST}{i}": array for i, array in enumerate(position.best)}
    if position.step:
        arrays |= _numbered(METRIC, model.metrics_variables)
    previous = run.folder / PREVIOUS_CHECKPOINT_FILE
    with atomic.replacing(run.folder / CHECKPOINT_FILE, keep=previous) as temporary:
        np.savez(temporary, allow_pickle=False, **{STATE: write_state(run, position)}, **arrays)
        seal(temporary)


def exists(folder: Path) -> bool:
    """Return whether a run folder holds a checkpoint, whole or not."""
    return has_checkpoint(folder)


def read_position(path: Path) -> Position:
    """Return the `Position` in a checkpoint, which has not been compared with its run.

    Raises:
        ValueError: it is damaged, or no checkpoint.
        OSError: it cannot be opened.
    """
    return read_state(_state_of(read_arrays(path)))[0]


def load(
    run: Run, model: keras.Model, classifier: keras.Model, steps: int
) -> tuple[Position, SavedArrays]:
    """Put the newest checkpoint that is whole, and this run's, back into a compiled, built model.

    Args:
        run: the `Run`.
        model: the model that is trained.
        classifier: the model that is saved, without the augmentation in front.
        steps: batches in an epoch.

    Returns:
        (the `Position`, what `restore_within_epoch` needs); the beginning if there is no
        checkpoint yet.

    Raises:
        RunError: all checkpoints are damaged or of another run, or they are missing.
    """
    names = (CHECKPOINT_FILE, PREVIOUS_CHECKPOINT_FILE)
    paths = [path for name in names if (path := run.folder / name).exists()]
    problems: list[str] = []
    for path in paths:
        try:
            position, arrays = _read(path, run, model, classifier, steps)
        except (OSError, ValueError) as error:
            problems.append(f"{path}: {one_line(error, LONGEST_PROBLEM)}")
            continue
        _assign(_variables(model), arrays.variables)
        position.file = path.name
        if problems:
            position.notes.append(f"{problems[0]}; going on from {path.name}")
        return position, arrays
    if problems:
        raise RunError("; ".join(problems))
    _check_beginning(run)
    return Position(), SavedArrays()


def _check_beginning(run: Run) -> None:
    """Refuse to begin anew in a folder whose checkpoints are missing.

    Raises:
        RunError: epochs were trained, each of which leaves a checkpoint before it ends.
    """
    ended = [name for name in (MODEL_FILE, HISTORY_FILE) if (run.folder / name).exists()]
    if ended:
        raise RunError(
            f"{run.folder}: {CHECKPOINT_FILE} is missing, though {ended[0]} shows that epochs were"
            " trained; copy it again, or train anew in another folder"
        )


def restore_within_epoch(model: keras.Model, arrays: SavedArrays) -> None:
    """Put back, once an epoch has begun, what beginning it has changed, and its metrics."""
    _assign(_variables(model), arrays.variables)
    _make_metrics(model, len(arrays.metrics))
    _assign(model.metrics_variables, arrays.metrics)


def saved_variables(model: keras.Model) -> list[Any]:
    """Return a model's variables but for what never changes: the images that it may hold."""
    return [variable for variable in model.variables if variable.name != ResidentImages.VARIABLE]


def values_of(model: keras.Model) -> list[np.ndarray]:
    """Return a copy of the values of a model's `saved_variables`."""
    return [np.array(ops.convert_to_numpy(variable)) for variable in saved_variables(model)]


def assign_values(model: keras.Model, values: Iterable[np.ndarray]) -> None:
    """Put the values of `values_of` back into a model."""
    _assign(saved_variables(model), values)


def _variables(model: keras.Model) -> list[Any]:
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    return [*saved_variables(model), *model.optimizer.variables]


def _numbered(prefix: str, variables: Iterable[Any]) -> dict[str, np.ndarray]:
    """Return the values of variables, each under the prefix and its number."""
    return {f"{prefix}{i}": ops.convert_to_numpy(v) for i, v in enumerate(variables)}


def _in_order(prefix: str, arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return the arrays that `_numbered` gave the prefix."""
    return [arrays[name] for i in range(len(arrays)) if (name := f"{prefix}{i}") in arrays]


def _read(
    path: Path, run: Run, model: keras.Model, classifier: keras.Model, steps: int
) -> tuple[Position, SavedArrays]:
    """Read a checkpoint and hold all that is in it against the run and its models.

    Raises:
        ValueError: it is damaged, or not this run's.
        OSError: it cannot be opened.
    """
    arrays = read_arrays(path)
    position, written_by = read_state(_state_of(arrays))
    if written_by and not is_sealed(path):
        raise ValueError("damaged: its checksum is wrong")
    check_belongs(run, written_by)
    check_position(position, run.settings, steps, whole=written_by is not None)
    saved = SavedArrays(_in_order(VARIABLE, arrays), _in_order(METRIC, arrays))
    position.best = _in_order(BEST, arrays)
    known = 1 + len(saved.variables) + len(saved.metrics) + len(position.best)
    if len(arrays) != known:
        raise ValueError(f"damaged: it holds {len(arrays) - known} arrays that do not belong in it")
    _check_arrays("weights", saved.variables, _variables(model))
    if position.step:
        _make_metrics(model, len(saved.metrics))
    _check_arrays("metrics", saved.metrics, model.metrics_variables if position.step else ())
    best = saved_variables(classifier) if position.rows and written_by else ()
    _check_arrays("best weights", position.best, best)
    if (position.model_sha256 is None) == bool(best):
        raise ValueError("damaged: its state does not name the model of the best epoch")
    _check_iterations(saved.variables, model, position, steps)
    return position, saved


def _state_of(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    if STATE not in arrays:
        raise ValueError("damaged, or no checkpoint: it holds no state")
    return arrays[STATE]


def _check_arrays(what: str, arrays: Sequence[np.ndarray], variables: Sequence[Any]) -> None:
    """Refuse arrays that are not of the variables' number, shapes and types, or not finite.

    Raises:
        ValueError: they are not.
    """
    if [tuple(v.shape) for v in variables] != [array.shape for array in arrays]:
        raise ValueError(f"its {what} do not fit the model that config.yaml describes")
    for variable, array in zip(variables, arrays, strict=True):
        expected = ops.convert_to_numpy(variable).dtype
        # How many bits a count of steps has, the backends do not agree on.
        if array.dtype != expected and not {array.dtype.kind, expected.kind} <= {"i", "u"}:
            raise ValueError(f"damaged: its {what} hold {array.dtype}, expected {expected}")
        if not _is_finite(array):
            raise ValueError(f"damaged: its {what} hold values that are not finite")


def _is_finite(array: np.ndarray) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _check_iterations(
    arrays: Sequence[np.ndarray], model: keras.Model, position: Position, steps: int
) -> None:
    """Refuse an optimizer that has not made as many steps as the position says.

    Raises:
        ValueError: it has not; where a loss is scaled, steps may have been left out.
    """
    expected = steps * position.epoch + position.step
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    scaled = optimizer is not model.optimizer
    for variable, array in zip(_variables(model), arrays, strict=True):
        if variable is optimizer._iterations and not (
            array == expected or (scaled and 0 <= array < expected)
        ):
            raise ValueError(f"damaged: its optimizer made {array} steps, expected {expected}")


def _make_metrics(model: keras.Model, saved: int) -> None:
    """Make the variables of a compiled model's metrics, which the first step would make."""
    if len(model.metrics_variables) < saved:
        zeros = ops.zeros((1, model.output_shape[-1]))
        model.compute_metrics(None, zeros, zeros)


def _assign(variables: Iterable[Any], arrays: Iterable[np.ndarray]) -> None:
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
