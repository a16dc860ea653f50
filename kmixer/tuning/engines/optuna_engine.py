"""Optuna draws the points and keeps the record, in a file or a database that many workers share.

Each worker writes a heartbeat for its trials every few seconds. A worker that sees no heartbeat of
a trial for LEASE_SECONDS, by its own clock, marks the trial as lost, and it is drawn again: the
clocks of the machines need not agree.
"""

from __future__ import annotations

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

from ...errors import RunError, one_line
from ..space.space import Space
from ..trials import (
    BEAT_SECONDS,
    FINISHED,
    LEASE_SECONDS,
    OBJECTIVES,
    PRUNED,
    WAIT,
    Outcome,
    Trial,
    read_outcome,
    read_trial,
)
from .held_writes import reading
from .optuna_sampler import FixedPointSampler, sampler, suggest
from .optuna_snapshot import LOST, OUTCOME, RETRY_OF, SURPLUS, VALUES, Snapshot, first_number
from .optuna_storage import open_storage

STUDY, BEAT = "search", "beat"
VERDICT = "verdict"  # the newest: whether a trial is to be stopped, and what Optuna notes with it
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
        name: of the study, where others share its storage.
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
        opened = open_storage(storage)
        self.study = optuna.create_study(
            storage=opened, study_name=_only_study(opened) if exclusive else name,
            load_if_exists=True, pruner=pruner,
            direction="maximize" if OBJECTIVES[objective] else "minimize",
        )  # fmt: skip
        self._running: dict[int, optuna.Trial] = {}
        self._last_beats: dict[int, tuple[int | None, float]] = {}  # (beat, when it was first seen)
        self._undrawn: deque[optuna.Trial] = deque()  # without values; their process was killed
        try:
            self._unfinished = deque(self._take_over() if exclusive else ())
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._damaged(error) from None
        self._stop = threading.Event()
        self._heartbeat = threading.Thread(target=self._keep_alive, daemon=True)
        self._heartbeat.start()

    def _take_over(self) -> Iterator[Trial]:
        """Bring what a killed process left to where it can go on; yield what is to be trained."""
        self.study.sampler = optuna.samplers.RandomSampler(seed=0)
        for frozen in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            optuna_trial = optuna.trial.Trial(self.study, frozen._trial_id)
            self._running[frozen.number] = optuna_trial
            attrs = frozen.user_attrs
            if VALUES not in attrs:
                self._undrawn.append(optuna_trial)
                continue
            if self.space.holds(attrs[VALUES]):  # `--extend` may have left it out
                self._write_parameters(optuna_trial, attrs[VALUES])
            self._write_system_attrs(optuna_trial, attrs.get(VERDICT, {}))
            trial = read_trial(frozen.number, attrs[VALUES])
            if OUTCOME in attrs:
                self.tell(trial, read_outcome(attrs[OUTCOME]))
            else:
                yield trial

    def _read(self) -> Snapshot:
        return Snapshot(self.study.get_trials(deepcopy=False), self._grid)

    def ask(self) -> Trial | Literal["wait"] | None:
        """Return the next `Trial`, `WAIT` while others could still fail, or None."""
        if self._unfinished:
            return self._unfinished.popleft()
        snapshot = self._read()
        if len(snapshot.counted(self.max_trials)) < self.max_trials or self._undrawn:
            if lost := snapshot.lost():
                return self._draw(lost.user_attrs[VALUES], retry_of=first_number(lost))
            point = snapshot.next_grid_point()
            if point is not None or self._grid is None:
                return self._draw(point)
        return WAIT if snapshot.any_running() else None

    def _draw(
        self, point: Mapping[str, Any] | None, retry_of: int | None = None
    ) -> Trial | Literal["wait"]:
        """Draw a trial: a known point, or None for one of the tuner's."""
        optuna_trial = self._undrawn.popleft() if self._undrawn else self._new_trial()
        if retry_of is not None:
            optuna_trial.set_user_attr(RETRY_OF, retry_of)
        values = self._choose_values(optuna_trial, point)
        optuna_trial.set_user_attr(VALUES, values)
        self._write_parameters(optuna_trial, values)
        if optuna_trial.number not in self._read().counted(self.max_trials):
            del self._running[optuna_trial.number]
            self._fail(optuna_trial, {OUTCOME: Outcome(SURPLUS).as_dict()})
            return WAIT
        return Trial(optuna_trial.number, values)

    def _new_trial(self) -> optuna.Trial:
        self.study.sampler = optuna.samplers.RandomSampler(seed=0)
        optuna_trial = self.study.ask()
        self._running[optuna_trial.number] = optuna_trial
        return optuna_trial

    def _choose_values(
        self, optuna_trial: optuna.Trial, point: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Return the values of a trial, by path; nothing is written."""
        study, _ = reading(self.study)
        rank = self._rank(optuna_trial.number)
        study.sampler = (
            sampler(self.tuner, self.seed, rank)
            if point is None
            else FixedPointSampler(self.space, point)
        )
        draft = optuna.trial.Trial(study, optuna_trial._trial_id)
        return self.space.draw(lambda searched: suggest(draft, searched))

    def _write_parameters(self, optuna_trial: optuna.Trial, values: Mapping[str, Any]) -> None:
        """Write a trial's values as Optuna's parameters; those that are written already stay."""
        self.study.sampler = FixedPointSampler(self.space, values)
        self.space.draw(lambda searched: suggest(optuna_trial, searched))

    def _rank(self, number: int) -> int:
        """Return how many trials were drawn before one, which decides its draws.

        Retries do not count. Neither do trials whose process was killed while drawing them, unless
        others work here: they may have counted them already.
        """
        earlier = [trial.user_attrs for trial in self._read().trials if trial.number < number]
        return sum(RETRY_OF not in attrs and not self._never_drawn(attrs) for attrs in earlier)

    def _never_drawn(self, attrs: Mapping[str, Any]) -> bool:
        return self.exclusive and bool(attrs.get(LOST)) and VALUES not in attrs

    def report(self, trial: Trial, epoch: int, value: float) -> bool:
        """Record the objective after an epoch and return whether to stop the trial.

        The verdict is recorded before anyone acts on it. An epoch that was reported before, by a
        process that was killed, has the verdict that it had then.
        """
        optuna_trial = self._running[trial.number]
        verdict = self._frozen(optuna_trial).user_attrs.get(VERDICT)
        if verdict and epoch <= verdict["epoch"]:
            return bool(verdict["poor"] and epoch == verdict["epoch"])
        try:
            return self._judge(optuna_trial, epoch, value)
        except UpdateFinishedTrialError:  # another worker took it
            return True

    def _judge(self, optuna_trial: optuna.Trial, epoch: int, value: float) -> bool:
        if epoch not in self._frozen(optuna_trial).intermediate_values:
            optuna_trial.report(value, epoch)
        if isinstance(self.study.pruner, optuna.pruners.NopPruner):
            return False
        study, held = reading(self.study)
        poor = study.pruner.prune(study, held.get_trial(optuna_trial._trial_id))
        verdict = {"epoch": epoch, "poor": poor, "attrs": held.system_attrs}
        optuna_trial.set_user_attr(VERDICT, verdict)
        self._write_system_attrs(optuna_trial, verdict)
        return poor

    def _write_system_attrs(self, optuna_trial: optuna.Trial, verdict: Mapping[str, Any]) -> None:
        """Write what Optuna notes with a verdict."""
        for key, value in verdict.get("attrs", {}).items():
            self.study._storage.set_trial_system_attr(optuna_trial._trial_id, key, value)

    def _frozen(self, optuna_trial: optuna.Trial) -> FrozenTrial:
        return self.study._storage.get_trial(optuna_trial._trial_id)

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
        drawn = [trial for trial in self._read().valid if VALUES in trial.user_attrs]
        try:
            return list(map(_read_trial, drawn))
        except ValueError as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> RunError:
        return RunError(f"the study {self.study.study_name}: damaged: {one_line(error)}")

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


def _read_trial(frozen: FrozenTrial) -> Trial:
    trial = read_trial(frozen.number, frozen.user_attrs[VALUES])
    outcome = frozen.user_attrs.get(OUTCOME)
    return trial.ended(read_outcome(outcome)) if outcome else trial


def _only_study(storage: optuna.storages.BaseStorage) -> str:
    """Return the name of the one study in a search's own file, or of the one to be made there.

    It is not the search's: the folder may be renamed, and Optuna's Hyperband draws by the name
    which trials it compares.
    """
    return next(iter(optuna.get_all_study_names(storage)), STUDY)
