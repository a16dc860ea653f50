"""KerasTuner draws the points. The journal is the record; the oracle is rebuilt from it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import keras_tuner

from ...errors import RunError, one_line
from ...files.opened import refuse_links_below
from ..space.space import Space
from ..trials import (
    BEGUN,
    OBJECTIVES,
    WAIT,
    Outcome,
    Trial,
    counted,
    read_outcome,
    read_trial,
)
from .journal import Journal
from .keras_tuner_space import hyperparameters

EPOCHS = "tuner/epochs"  # the name under which Hyperband's oracle keeps a trial's epochs
RANDOM_AT_FIRST = 8  # of a Bayesian search; KerasTuner's own is three for each setting
WORST = {True: 0.0, False: 1e3}  # a value for failures, by whether more is better
OWN_FOLDER = "keras_tuner"
ORACLES = {
    "random": keras_tuner.oracles.RandomSearchOracle,
    "hyperband": keras_tuner.oracles.HyperbandOracle,
    "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
    "grid": keras_tuner.oracles.GridSearchOracle,
}


def make_oracle(
    space: Space,
    tuner: str,
    objective: str,
    seed: int,
    epochs: int,
    folder: Path,
    max_trials: int | None = None,
) -> keras_tuner.Oracle:
    """Return one of KerasTuner's oracles.

    Args:
        space: the `Space`.
        tuner: one of `ORACLES`.
        objective: one of `trials.OBJECTIVES`.
        seed: of the draws.
        epochs: of a trial; Hyperband's longest.
        folder: where KerasTuner's own files go; nothing reads them.
        max_trials: how many the oracle draws; None: this class counts, see `counted`.
    """
    options = {
        "objective": keras_tuner.Objective(objective, "max" if OBJECTIVES[objective] else "min"),
        "hyperparameters": hyperparameters(space),
        "seed": seed + 1,  # KerasTuner takes 0 for none
        "allow_new_entries": False,
        "max_consecutive_failed_trials": 10**9,
    }
    if tuner == "hyperband":
        options["max_epochs"] = epochs
    if tuner == "bayesian":
        options["num_initial_points"] = RANDOM_AT_FIRST
    oracle = ORACLES[tuner](**options)
    oracle.max_trials = max_trials
    oracle.verbose = 0
    refuse_links_below(folder / OWN_FOLDER, within=folder)  # KerasTuner would follow them
    oracle._set_project_dir(folder, OWN_FOLDER)  # what KerasTuner's own tuners call
    return oracle


class KerasTunerEngine:
    """Draws trials with one of KerasTuner's oracles, in one process; see `Engine`.

    Args:
        oracle: what `make_oracle` returns.
        space: the `Space`.
        objective: one of `trials.OBJECTIVES`.
        journal: the search's `Journal`.
        max_trials: how many to train at most; None: until the oracle has no more points.
    """

    def __init__(
        self,
        oracle: keras_tuner.Oracle,
        space: Space,
        objective: str,
        journal: Journal,
        max_trials: int | None = None,
    ) -> None:
        self.oracle, self.space, self.objective = oracle, space, objective
        self.journal, self.max_trials = journal, max_trials
        self.trials: dict[int, Trial] = {}
        self._scores: dict[int, float] = {}  # what the oracle was told
        self._open: dict[int, keras_tuner.engine.trial.Trial] = {}
        self._unfinished: deque[Trial] = deque()
        self._restore()

    def _restore(self) -> None:
        self._replay()
        self._unfinished += [trial for trial in self.trials.values() if trial.state == BEGUN]

    def _replay(self) -> None:
        """Ask and tell the oracle the same as before, in the same order.

        After `--extend`, points outside the new space are kept, but the oracle never hears of them.
        """
        for event in self.journal.read():
            with self._reading():
                self._replay_event(event)

    def _replay_event(self, event: dict[str, Any]) -> None:
        if event["event"] == "begin":
            trial = _trial(event)
            self.trials[trial.number] = trial
            if self.space.holds(trial.values):
                self._draw_again(trial, event["more"])
        elif event["event"] == "end" and event["trial"] in self.trials:
            self._tell(self.trials[event["trial"]], read_outcome(event["outcome"]))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Say in one line that the journal is not one that this class wrote."""
        try:
            yield
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"{self.journal.path}: damaged: {one_line(error)}") from None

    def _draw_again(self, trial: Trial, oracle_values: dict[str, Any]) -> None:
        oracle_trial = self.oracle.create_trial(f"trial {trial.number}")
        if oracle_trial.status == "RUNNING":
            oracle_trial.hyperparameters.values = self.space.point(trial.values) | oracle_values
            self._open[trial.number] = oracle_trial

    def ask(self) -> Trial | Literal["wait"] | None:
        """Return the next `Trial`, `WAIT`, or None where there are no more points."""
        if self._unfinished:
            return self._unfinished.popleft()
        if self.max_trials and len(counted(self.trials.values())) >= self.max_trials:
            return None
        return self._draw(f"trial {len(self.trials)}")

    def _draw(self, tuner_id: str) -> Trial | Literal["wait"] | None:
        oracle_trial = self.oracle.create_trial(tuner_id)
        if oracle_trial.status != "RUNNING":
            return WAIT if oracle_trial.status == "IDLE" else None
        point = oracle_trial.hyperparameters.values
        oracle_values = {name: v for name, v in point.items() if name.startswith("tuner/")}
        trial = Trial(
            self._number(oracle_trial), self.space.decode(point), oracle_values.get(EPOCHS)
        )
        self.journal.append(
            event="begin", trial=trial.number, values=trial.values, epochs=trial.epochs,
            more=oracle_values,
        )  # fmt: skip
        self._open[trial.number], self.trials[trial.number] = oracle_trial, trial
        return trial

    def _number(self, oracle_trial: keras_tuner.engine.trial.Trial) -> int:
        return len(self.trials)

    def report(self, trial: Trial, epoch: int, value: float) -> bool:
        """Return whether to stop the trial: KerasTuner never does."""
        return False

    def tell(self, trial: Trial, outcome: Outcome) -> None:
        """Record how a trial ended."""
        self.journal.append(event="end", trial=trial.number, outcome=outcome.as_dict())
        self._tell(trial, outcome)

    def _tell(self, trial: Trial, outcome: Outcome) -> None:
        self.trials[trial.number] = trial.ended(outcome)
        oracle_trial = self._open.pop(trial.number, None)
        if oracle_trial is None:
            return
        more_is_better = OBJECTIVES[self.objective]
        score = outcome.value
        if score is None:  # oracles repeat points without a result: the worst so far
            worst = min if more_is_better else max
            score = worst(self._scores.values(), default=WORST[more_is_better])
        self._scores[trial.number] = score
        self.oracle.update_trial(oracle_trial.trial_id, {self.objective: score})
        oracle_trial.status = "COMPLETED"
        self.oracle.end_trial(oracle_trial)

    def all_trials(self) -> list[Trial]:
        """Return all trials, those of other workers too, by number."""
        trials = dict(self.trials)
        with self._reading():
            for event in self.journal.read():
                if event["event"] == "begin":
                    trials.setdefault(event["trial"], _trial(event))
                elif event["event"] == "end" and event["trial"] in trials:
                    outcome = read_outcome(event["outcome"])
                    trials[event["trial"]] = trials[event["trial"]].ended(outcome)
            return [trials[number] for number in sorted(trials)]

    def release(self, trial: Trial) -> None:
        """Do nothing: a stopped trial stays begun, and its training continues later."""

    def read(self, key: str) -> Any:
        """Return what was last written under a key, or None."""
        with self._reading():
            values = [event["value"] for event in self.journal.read() if event["event"] == key]
        return values[-1] if values else None

    def write(self, key: str, value: Any) -> None:
        """Keep a JSON-able value under a key."""
        self.journal.append(event=key, value=value)

    def close(self) -> None:
        """Do nothing: no file is held open."""


def _trial(event: dict[str, Any]) -> Trial:
    return read_trial(event["trial"], event["values"], event["epochs"])
