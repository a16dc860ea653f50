"""Optuna draws the points and keeps the record, in a file or a database that many workers share.

Each worker writes a heartbeat for its trials every few seconds. A worker that sees no heartbeat of
a trial for LEASE_SECONDS, by its own clock, marks the trial as lost, and it is drawn again: the
clocks of the machines need not agree.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from ..space.space import Space
from ..trials import (
    BEAT_SECONDS,
    BEGUN,
    COUNTED,
    FINISHED,
    LEASE_SECONDS,
    OBJECTIVES,
    PRUNED,
    WAIT,
    Outcome,
    Trial,
)
from .optuna_sampler import FixedPointSampler, sampler, suggest
from .optuna_storage import open_storage

OUTCOME, VALUES, BEAT, RETRY_OF, LOST = "outcome", "values", "beat", "retry_of", "lost"
SURPLUS = "surplus"  # two workers drew the last trial, or the same retry: the later one
STATES = {FINISHED: TrialState.COMPLETE, PRUNED: TrialState.PRUNED}


class OptunaEngine:
    """Draws trials of an Optuna study; see `Engine`.

    Args:
        space: the `Space`.
        tuner: `tpe`, `random`, `grid`, or `hyperband`: TPE whose poor trials are stopped early.
        objective: one of `trials.OBJECTIVES`.
        seed: of the draws.
        epochs: of a trial.
        storage: of the study; see `open_storage`.
        name: of the study.
        max_trials: how many to train.
        exclusive: whether this is the only worker, which then continues trials in progress.
    """

    def __init__(
        self,
        space: Space,
        tuner: str,
        objective: str,
        seed: int,
        epochs: int,
        storage: str | Path,
        name: str,
        *,
        max_trials: int,
        exclusive: bool,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space, self.tuner, self.seed = space, tuner, seed
        self.max_trials, self.exclusive = max_trials, exclusive
        self._grid = [*space.grid()] if tuner == "grid" else None
        pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
        if tuner == "hyperband":
            pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs)
        self.study = optuna.create_study(
            storage=open_storage(storage), study_name=name, load_if_exists=True, pruner=pruner,
            direction="maximize" if OBJECTIVES[objective] else "minimize",
        )  # fmt: skip
        self._running: dict[int, optuna.Trial] = {}
        self._last_beats: dict[int, tuple[int | None, float]] = {}  # (beat, when it was first seen)
        self._unfinished = deque(self._take_over() if exclusive else ())
        self._stop = threading.Event()
        self._heartbeat = threading.Thread(target=self._keep_alive, daemon=True)
        self._heartbeat.start()

    def _take_over(self) -> Iterator[Trial]:
        for frozen in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            values = frozen.user_attrs.get(VALUES)
            if values is None:  # its process was killed while drawing it
                self._fail(frozen, {LOST: True})
                continue
            self._running[frozen.number] = optuna.trial.Trial(self.study, frozen._trial_id)
            yield Trial(frozen.number, values)

    def _all_drawn(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def _valid(self) -> list[FrozenTrial]:
        """Return the study's trials without those that were lost or are surplus."""
        return [
            frozen
            for frozen in self._all_drawn()
            if not (frozen.user_attrs.get(LOST) or _state(frozen) == SURPLUS)
        ]

    def ask(self) -> Trial | Literal["wait"] | None:
        """Return the next `Trial`, `WAIT` while others could still fail, or None."""
        if self._unfinished:
            return self._unfinished.popleft()
        lost = self._lost_trial()
        if lost is not None:
            return self._draw(lost.user_attrs[VALUES], retry_of=_first_number(lost))
        if len(self._counted()) >= self.max_trials:
            return self._wait_or_end()
        if self._grid is None:
            return self._draw(None)
        point = self._next_grid_point()
        return self._wait_or_end() if point is None else self._draw(point)

    def _wait_or_end(self) -> Literal["wait"] | None:
        running = any(frozen.state == TrialState.RUNNING for frozen in self._valid())
        return WAIT if running else None

    def _draw(
        self, point: Mapping[str, Any] | None, retry_of: int | None = None
    ) -> Trial | Literal["wait"]:
        """Draw a trial: a known point, or None for one of the tuner's."""
        self.study.sampler = optuna.samplers.RandomSampler(seed=0)
        optuna_trial = self.study.ask()
        self._running[optuna_trial.number] = optuna_trial
        if retry_of is not None:
            optuna_trial.set_user_attr(RETRY_OF, retry_of)
        if point is None:
            self.study.sampler = sampler(self.tuner, self.seed, self._rank(optuna_trial.number))
        else:
            self.study.sampler = FixedPointSampler(self.space, point)
        values = self.space.draw(lambda searched: suggest(optuna_trial, searched))
        optuna_trial.set_user_attr(VALUES, values)
        if optuna_trial.number not in self._counted():
            del self._running[optuna_trial.number]
            self._fail(optuna_trial, {OUTCOME: Outcome(SURPLUS).as_dict()})
            return WAIT
        return Trial(optuna_trial.number, values)

    def _rank(self, number: int) -> int:
        """Return how many trials were drawn before one, which decides its draws.

        Retries do not count. Neither do trials whose process was killed while drawing them, unless
        others work here: they may have counted them already.
        """
        earlier = [frozen.user_attrs for frozen in self._all_drawn() if frozen.number < number]
        return sum(RETRY_OF not in attrs and not self._never_drawn(attrs) for attrs in earlier)

    def _never_drawn(self, attrs: Mapping[str, Any]) -> bool:
        return self.exclusive and bool(attrs.get(LOST)) and VALUES not in attrs

    def _next_grid_point(self) -> dict[str, Any] | None:
        """Return the first point of the grid that no trial has, or None."""
        valid = self._valid()
        taken = {_key(t.user_attrs[VALUES]) for t in valid if VALUES in t.user_attrs}
        return next((point for point in self._grid or () if _key(point) not in taken), None)

    def _counted(self) -> list[int]:
        """Return the numbers of the trials that count: the first of each point, up to the limit."""
        numbers: list[int] = []
        known: set[int | str] = set()
        for frozen in self._valid():
            identity: int | str = _first_number(frozen)
            if self._grid is not None and VALUES in frozen.user_attrs:
                identity = _key(frozen.user_attrs[VALUES])
            if identity not in known and _state(frozen) in COUNTED:
                known.add(identity)
                numbers.append(frozen.number)
        return numbers[: self.max_trials]

    def _lost_trial(self) -> FrozenTrial | None:
        """Return a trial that was lost and not drawn again, or None."""
        retried = {frozen.user_attrs.get(RETRY_OF) for frozen in self._valid()}
        for frozen in self._all_drawn():
            attrs = frozen.user_attrs
            if attrs.get(LOST) and VALUES in attrs and _first_number(frozen) not in retried:
                return frozen
        return None

    def report(self, trial: Trial, epoch: int, value: float) -> bool:
        """Record the objective after an epoch and return whether to stop the trial."""
        optuna_trial = self._running[trial.number]
        try:
            optuna_trial.report(value, epoch)
            return optuna_trial.should_prune()
        except UpdateFinishedTrialError:  # another worker took it
            return True

    def tell(self, trial: Trial, outcome: Outcome) -> None:
        """Record how a trial ended, unless another worker took it."""
        optuna_trial = self._running.pop(trial.number)
        state = STATES.get(outcome.state, TrialState.FAIL)
        with suppress(UpdateFinishedTrialError, ValueError):
            optuna_trial.set_user_attr(OUTCOME, outcome.as_dict())
            value = outcome.value if state == TrialState.COMPLETE else None
            self.study.tell(trial.number, value, state)

    def all_trials(self) -> list[Trial]:
        """Return all trials of all workers, by number."""
        trials = []
        for frozen in self._valid():
            values, outcome = (frozen.user_attrs.get(key) for key in (VALUES, OUTCOME))
            if values is not None:
                ended = Outcome(**outcome) if outcome else None
                trials.append(Trial(frozen.number, values, None, ended))
        return trials

    def _fail(self, trial: optuna.Trial | FrozenTrial, attributes: Mapping[str, Any]) -> None:
        """End a trial without a value, unless it has ended by now."""
        storage, trial_id = self.study._storage, trial._trial_id
        with suppress(UpdateFinishedTrialError):
            for key, value in attributes.items():
                storage.set_trial_user_attr(trial_id, key, value)
            storage.set_trial_state_values(trial_id, TrialState.FAIL)

    def _keep_alive(self) -> None:
        """Write heartbeats for this worker's trials, and take those of silent workers."""
        beat = 0
        while not self._stop.wait(BEAT_SECONDS):
            beat += 1
            with suppress(Exception):  # the storage may be away for a moment; the next beat tries
                for optuna_trial in list(self._running.values()):
                    with suppress(UpdateFinishedTrialError):
                        optuna_trial.set_user_attr(BEAT, beat)
                self._mark_lost_trials()

    def _mark_lost_trials(self) -> None:
        now = time.monotonic()
        for frozen in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            beat = frozen.user_attrs.get(BEAT)
            last_beat, since = self._last_beats.get(frozen.number, (None, None))
            if since is None or last_beat != beat:
                self._last_beats[frozen.number] = (beat, now)
            elif now - since > LEASE_SECONDS and frozen.number not in self._running:
                self._fail(frozen, {LOST: True})

    def release(self, trial: Trial) -> None:
        """Give up a trial that was stopped; without other workers it continues later."""
        optuna_trial = self._running.pop(trial.number, None)
        if optuna_trial is not None and not self.exclusive:
            self._fail(optuna_trial, {LOST: True})

    def read(self, key: str) -> Any:
        """Return what was written under a key, or None."""
        return self.study.user_attrs.get(key)

    def write(self, key: str, value: Any) -> None:
        """Keep a JSON-able value under a key."""
        self.study.set_user_attr(key, value)

    def close(self) -> None:
        """Stop the heartbeat."""
        self._stop.set()
        self._heartbeat.join(BEAT_SECONDS)


def _state(frozen: FrozenTrial) -> str:
    return frozen.user_attrs.get(OUTCOME, {}).get("state", BEGUN)


def _first_number(frozen: FrozenTrial) -> int:
    """Return the number of the trial that this one repeats, or its own."""
    return frozen.user_attrs.get(RETRY_OF, frozen.number)


def _key(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)
