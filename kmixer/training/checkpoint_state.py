"""The state in a checkpoint, beside its arrays: written as JSON, held to a schema when it is read.

A checkpoint may come from anywhere. What does not fit the run that it lies in is not gone on with.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from ..config import loading
from ..config.fields import chosen
from ..config.schema import shorten, validation_message
from ..runs.resumable import changed_keys

if TYPE_CHECKING:
    from ..config import Settings
    from ..runs.run import Run

FORMAT = 3  # that of the runs which write it first
# Which may differ: where the images lie, what is written when, and what the conditions of a run
# (`kmixer.runs.conditions`) tell of.
FREE = (
    "data.name", "data.dir", "data.cache", "data.in_memory", "finetune.run", "training.backend",
    "training.precision", "training.distribute", "training.jit", "training.track",
    "training.checkpoint_every",
)  # fmt: skip

NotNegative = Annotated[FiniteFloat, Field(ge=0)]
Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


@dataclass
class Position:
    """How far a training has come.

    Attributes:
        rows: the history of its whole epochs.
        counters: JSON-able, of the callbacks that count epochs.
        step: steps of the next epoch that are done; all of them: its validation is missing.
        seconds: that those steps took.
        logs: the metrics over those steps.
        best: the values of the classifier's variables after the best epoch so far, as model.keras
            holds them; empty before the first epoch's end, and in checkpoints of older versions.
        model_sha256: `weights_checksum` of that model.keras, or None.
        file: the name of the checkpoint that it was read from, or None.
        notes: for the user, about the files that it was read from.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    counters: dict[str, dict[str, Any]] = field(default_factory=dict)
    step: int = 0
    seconds: float = 0.0
    logs: dict[str, float] = field(default_factory=dict)
    best: Sequence[np.ndarray] = ()
    model_sha256: str | None = None
    file: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """The epoch to continue with, counted from 0."""
        return len(self.rows)

    @property
    def note(self) -> str | None:
        """The notes in one line, or None."""
        return "; ".join(self.notes) or None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Row(_Strict):
    """A row of the history."""

    epoch: Annotated[int, Field(ge=1)]
    seconds: NotNegative
    examples_per_second: NotNegative
    learning_rate: NotNegative
    loss: FiniteFloat
    accuracy: Share
    val_loss: FiniteFloat
    val_accuracy: Share
    test_loss: FiniteFloat | None = None
    test_accuracy: Share | None = None


class _Counters(_Strict):
    """What ReduceLROnPlateau or EarlyStopping counts."""

    best: FiniteFloat | None = None
    wait: Count | None = None
    cooldown_counter: Count | None = None
    stopped_epoch: Count | None = None
    best_epoch: Count | None = None


class _Counting(_Strict):
    ReduceLROnPlateau: _Counters | None = None
    EarlyStopping: _Counters | None = None


class _OldState(_Strict):
    """The state as formats 1 and 2 of a run have it."""

    rows: list[_Row]
    counters: _Counting
    step: Count = 0
    seconds: NotNegative = 0.0
    logs: dict[str, FiniteFloat] = {}
    note: str | None = None


class _State(_Strict):
    """The state as format 3 has it."""

    format: Literal[3]
    settings: dict[str, Any]
    data_sha256: str | None
    model_sha256: str | None
    rows: list[_Row]
    counters: _Counting
    step: Count
    seconds: NotNegative
    logs: dict[str, FiniteFloat]


# What each counting callback counts once an epoch has ended.
_COUNTED = {
    "ReduceLROnPlateau": {"best", "wait", "cooldown_counter"},
    "EarlyStopping": {"best", "wait", "stopped_epoch", "best_epoch"},
}


def write_state(run: Run, position: Position) -> np.ndarray:
    """Return the state of a training as an array of bytes."""
    state = {
        "format": FORMAT,
        "settings": _held(run.settings),
        "data_sha256": run.info.get("data_sha256"),
        "model_sha256": position.model_sha256,
        "rows": position.rows,
        "counters": position.counters,
        "step": position.step,
        "seconds": position.seconds,
        "logs": position.logs,
    }
    return np.frombuffer(json.dumps(state).encode(), np.uint8)


def read_state(array: np.ndarray) -> tuple[Position, dict[str, Any] | None]:
    """Read a state, which may come from anywhere, by its schema.

    Returns:
        (the `Position`; the run's settings and the checksum of its images, as `check_belongs` takes
        them, None in a state of an older format).

    Raises:
        ValueError: it is damaged, or no state.
    """
    try:
        if array.dtype != np.uint8 or array.ndim != 1:
            raise ValueError(f"it is {array.dtype} {array.shape}, expected a row of bytes")
        values = json.loads(array.tobytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"damaged: its state cannot be read: {error}") from None
    schema = _State if isinstance(values, dict) and "format" in values else _OldState
    try:
        state = schema.model_validate(values).model_dump(exclude_none=True)
    except ValidationError as error:
        message = validation_message(error, schema)
        raise ValueError(f"damaged, or of another version: its state: {message}") from None
    written_by = {key: values.get(key) for key in ("settings", "data_sha256")}
    fields = ("rows", "counters", "step", "seconds", "logs", "model_sha256")
    position = Position(**{key: state[key] for key in fields if key in state})
    return position, written_by if schema is _State else None


def check_belongs(run: Run, written_by: Mapping[str, Any] | None) -> None:
    """Refuse the state of another run, or of one whose settings were changed since.

    Raises:
        ValueError: it was not written by this run.
    """
    if written_by is None:
        return
    if written_by["data_sha256"] != run.info.get("data_sha256"):
        raise ValueError("does not belong to config.yaml: another run's, trained on other images")
    before, now = written_by["settings"], _held(run.settings)
    # A later version may know settings that this state's did not: those have their defaults.
    common = before.keys() & now.keys()
    changed = changed_keys(*({k: v[k] for k in sorted(common)} for v in (before, now)))
    if changed:
        key = changed[0]
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise ValueError(
            f"does not belong to config.yaml: written with {key} {shorten(before[key])}, which is"
            f" {shorten(now[key])} there{more}; put the value back, or train anew"
        )


def check_position(position: Position, settings: Settings, steps: int, whole: bool) -> None:
    """Refuse a position that a training with these settings cannot have reached.

    Args:
        position: the `Position`.
        settings: resolved `Settings`.
        steps: batches in an epoch.
        whole: whether the counters of all callbacks that count are there; older formats lack some.

    Raises:
        ValueError: it cannot.
    """
    rows, epochs = position.rows, chosen(settings.training.epochs)
    if len(rows) > epochs:
        raise ValueError(f"damaged: its state has {len(rows)} epochs, expected at most {epochs}")
    if position.step > (steps if len(rows) < epochs else 0):
        raise ValueError(
            f"damaged: its state is at step {position.step} after {len(rows)} of {epochs} epochs,"
            f" expected at most step {steps} of the next"
        )
    if [row["epoch"] for row in rows] != list(range(1, len(rows) + 1)):
        raise ValueError("damaged: the epochs of its history are not 1, 2, 3, …")
    if position.step and not {"loss", "accuracy"} <= position.logs.keys():
        raise ValueError("damaged: its state lacks the metrics of the steps that are done")
    _check_counters(position, settings, whole)


def _held(settings: Settings) -> dict[str, Any]:
    """Return the settings that a training goes on with, by their paths, as JSON holds them."""
    flat = loading.flatten(settings)
    return json.loads(
        json.dumps({k: v for k, v in flat.items() if k not in FREE and not k.startswith("search")})
    )


def _check_counters(position: Position, settings: Settings, whole: bool) -> None:
    monitored = {
        name: (section.monitor, section.patience)
        for name, section in (
            ("ReduceLROnPlateau", settings.plateau),
            ("EarlyStopping", settings.training.early_stopping),
        )
        if section is not None
    }
    if whole and monitored.keys() != position.counters.keys():
        raise ValueError(
            f"damaged: its state has counters of {sorted(position.counters)},"
            f" expected {sorted(monitored)}"
        )
    for name, counters in position.counters.items():
        if name not in monitored:
            raise ValueError(
                f"damaged: its state has counters of {name}, which config.yaml has not"
            )
        missing = _COUNTED[name] - counters.keys() - (set() if position.rows else {"best"})
        if (whole and missing) or counters.keys() - _COUNTED[name]:
            raise ValueError(f"damaged: the counters of {name} are {sorted(counters)}")
        _check_counts(name, counters, position, *monitored[name])


def _check_counts(
    name: str, counters: Mapping[str, Any], position: Position, monitor: str, patience: int
) -> None:
    epochs = len(position.rows)
    counts = [key for key in counters if key != "best" and counters[key] > epochs]
    if counts:
        raise ValueError(
            f"damaged: {counts[0]} of {name} is {counters[counts[0]]} of {epochs} epochs"
        )
    values = [row[monitor] for row in position.rows]  # rounded to six places
    best = counters.get("best")
    if best is not None and not any(
        math.isclose(best, value, rel_tol=1e-6, abs_tol=1e-6) for value in values
    ):
        raise ValueError(f"damaged: the best {monitor} of {name} is that of no epoch")
    stopped = counters.get("stopped_epoch", 0)
    if stopped and (
        stopped != epochs - 1 or position.step or counters.get("wait", patience) < patience
    ):
        raise ValueError(f"damaged: {name} says that it stopped the training, which it did not")
