"""A storage of Optuna's that is read from but not written to: what would have been is kept."""

from __future__ import annotations

import copy
from typing import Any, cast

import optuna


class HeldWrites:
    """A storage whose parameters and system attributes of trials are held instead of written.

    Optuna draws a parameter, or judges a trial, and writes what follows from it in one step, in
    several lines. A process that is killed between two of them leaves a state from which the same
    question has another answer. So the answer is found on this storage first, written in one line,
    and what follows from it after that: it can be written again.

    Args:
        storage: the one that is read.
    """

    def __init__(self, storage: optuna.storages.BaseStorage) -> None:
        self._storage = storage
        self.system_attrs: dict[str, Any] = {}  # of the trial that was asked about

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_trial(self, trial_id: int) -> optuna.trial.FrozenTrial:
        """Return a copy: Optuna's `Trial` writes its parameters into it too."""
        return copy.deepcopy(self._storage.get_trial(trial_id))

    def set_trial_param(self, *parameter: Any) -> None:
        """Do nothing: the caller has the value."""

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Keep a value in `system_attrs`."""
        self.system_attrs[key] = value


def reading(study: optuna.Study) -> tuple[optuna.Study, HeldWrites]:
    """Return a study that reads a study's storage, and the storage that holds its writes."""
    held, copied = HeldWrites(study._storage), copy.copy(study)
    copied._storage = cast(optuna.storages.BaseStorage, held)
    return copied, held
