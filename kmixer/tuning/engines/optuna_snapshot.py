"""The trials of an Optuna study at one moment: which count, which was lost, what a grid has left.

What comes next is decided on one snapshot. Of two readings, the second may be the first to see that
a trial was lost: its retry and a new trial in its place would both be drawn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from ..trials import BEGUN, COUNTED

# The attributes of a trial, and the state of one that is not needed:
OUTCOME, VALUES, RETRY_OF, LOST = "outcome", "values", "retry_of", "lost"
SURPLUS = "surplus"  # two workers drew the last trial, or the same retry: the later one


class Snapshot:
    """A study's trials, as they were read.

    Args:
        trials: all of them, by number.
        grid: the points of a grid search, which may be drawn once; None: of other searches.
    """

    def __init__(
        self, trials: Sequence[FrozenTrial], grid: Sequence[dict[str, Any]] | None
    ) -> None:
        self.trials, self.grid = trials, grid
        self.valid = [
            trial
            for trial in trials
            if not (trial.user_attrs.get(LOST) or _state(trial) == SURPLUS)
        ]

    def any_running(self) -> bool:
        """Whether a trial could still fail."""
        return any(trial.state == TrialState.RUNNING for trial in self.valid)

    def counted(self, most: int) -> list[int]:
        """Return the numbers of the trials that count: the first of each point, up to `most`."""
        first: dict[int | str, int] = {}
        for trial in self.valid:
            if _state(trial) in COUNTED:
                first.setdefault(self._identity(trial), trial.number)
        return [*first.values()][:most]

    def lost(self) -> FrozenTrial | None:
        """Return a trial that was lost and not drawn again, or None."""
        repeated = set(map(self._identity, self.valid))
        for trial in self.trials:
            attrs = trial.user_attrs
            if attrs.get(LOST) and VALUES in attrs and self._identity(trial) not in repeated:
                return trial
        return None

    def next_grid_point(self) -> dict[str, Any] | None:
        """Return the first point of the grid that no trial has, or None."""
        taken = {_key(t.user_attrs[VALUES]) for t in self.valid if VALUES in t.user_attrs}
        return next((point for point in self.grid or () if _key(point) not in taken), None)

    def _identity(self, trial: FrozenTrial) -> int | str:
        """Return what a trial shares with those that repeat it: a grid's point, or a number."""
        if self.grid is not None and VALUES in trial.user_attrs:
            return _key(trial.user_attrs[VALUES])
        return first_number(trial)


def first_number(trial: FrozenTrial) -> int:
    """Return the number of the trial that this one repeats, or its own."""
    return trial.user_attrs.get(RETRY_OF, trial.number)


def _state(trial: FrozenTrial) -> str:
    return trial.user_attrs.get(OUTCOME, {}).get("state", BEGUN)


def _key(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)
