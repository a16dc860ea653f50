"""KerasTuner draws the points. The journal is the truth; the oracle is rebuilt from it."""

import os
from collections import deque

import keras_tuner

from ..errors import SettingsError
from . import record
from .record import Outcome, Trial

WAIT = "wait"  # for other trials to end
EPOCHS = "tuner/epochs"  # Hyperband's, of a trial
ROLES = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
RANDOM_AT_FIRST = 8  # of a Bayesian search; KerasTuner's own is three for each setting
WORST = {True: 0.0, False: 1e3}  # by whether more is better


def _random(options, trials, epochs):
    return keras_tuner.oracles.RandomSearchOracle(max_trials=trials, **options)


def _bayesian(options, trials, epochs):
    return keras_tuner.oracles.BayesianOptimizationOracle(
        max_trials=trials, num_initial_points=RANDOM_AT_FIRST, **options
    )


def _grid(options, trials, epochs):
    return keras_tuner.oracles.GridSearchOracle(max_trials=trials, **options)


def _hyperband(options, trials, epochs):
    return keras_tuner.oracles.HyperbandOracle(max_epochs=epochs, **options)


TUNERS = {"random": _random, "hyperband": _hyperband, "bayesian": _bayesian, "grid": _grid}


class KerasTunerEngine:
    """Draws trials with one of KerasTuner's oracles.

    Args:
        space: the `Space`.
        tuner: one of `TUNERS`.
        objective: one of `record.OBJECTIVES`.
        seed: of the draws.
        epochs: of a trial; Hyperband's longest.
        journal: the search's `Journal`.
        folder: where KerasTuner's own files go; they are written anew.
        trials: how many are to be trained at most; None: until there are no more points.
        role: `chief` or `worker` of KerasTuner's protocol, or None.
    """

    def __init__(self, space, tuner, objective, seed, epochs, journal, folder, *, trials=None,
                 role=None):  # fmt: skip
        self.space, self.objective, self.journal, self.tuner = space, objective, journal, tuner
        options = {
            "objective": keras_tuner.Objective(
                objective, "max" if record.OBJECTIVES[objective] else "min"
            ),
            "hyperparameters": hyperparameters(space),
            "seed": seed + 1,  # KerasTuner takes 0 for none
            "allow_new_entries": False,
            "max_consecutive_failed_trials": 10**9,
        }
        self.most = trials
        # A chief has to count by itself, and what cannot be trained counts there too.
        self.oracle = TUNERS[tuner](options, trials if role == "chief" else None, epochs)
        self.oracle.verbose = 0
        self.oracle._set_project_dir(folder, "keras_tuner")
        self.trials, self._told, self._open = {}, {}, {}
        self.begun, self.at_chief = deque(), role == "worker"
        if self.at_chief:
            from keras_tuner.src.distribute.oracle_client import OracleClient

            self.oracle = OracleClient(self.oracle)
        else:
            self._replay()
            self.begun += [t for t in self.trials.values() if t.state == record.BEGUN]

    def _replay(self):
        """Ask and tell the oracle what was asked and told before, in the same order.

        After `--extend`, what the space does not hold any more is known, but not to the oracle.
        """
        for event in self.journal.read():
            if event["event"] == "begin":
                trial = Trial(event["trial"], event["values"], event["epochs"])
                self.trials[trial.number] = trial
                if self.space.holds(trial.values):
                    self._draw_again(trial, event["more"])
            elif event["event"] == "end" and event["trial"] in self.trials:
                self._tell(self.trials[event["trial"]], Outcome(**event["outcome"]))

    def _draw_again(self, trial, more):
        drawn = self.oracle.create_trial(f"trial {trial.number}")
        if drawn.status == "RUNNING":
            drawn.hyperparameters.values = self.space.point(trial.values) | more
            self._open[trial.number] = drawn

    def ask(self):
        """Return the next `Trial`, `WAIT`, or None where there are no more points."""
        if self.begun:
            return self.begun.popleft()
        if (
            not self.at_chief
            and self.most
            and len(record.counted(self.trials.values())) >= self.most
        ):
            return None
        number = len(self.trials)
        drawn = self.oracle.create_trial(os.environ.get(ROLES[0]) or f"trial {number}")
        if drawn.status != "RUNNING":
            return WAIT if drawn.status == "IDLE" else None
        if self.at_chief:  # which counts the trials of all workers
            number = int(drawn.trial_id)
        point = drawn.hyperparameters.values
        values = self.space.draw(lambda each: each.parameter.decode(point[each.name]))
        more = {name: value for name, value in point.items() if name.startswith("tuner/")}
        trial = Trial(number, values, more.get(EPOCHS))
        self.journal.append(
            event="begin", trial=number, values=values, epochs=trial.epochs, more=more
        )
        self._open[number], self.trials[number] = drawn, trial
        return trial

    def report(self, trial, epoch, value):
        """Say whether the trial is to be stopped: KerasTuner never does."""
        return False

    def tell(self, trial, outcome):
        """Record how a trial ended."""
        self.journal.append(event="end", trial=trial.number, outcome=outcome.as_dict())
        self._tell(trial, outcome)

    def _tell(self, trial, outcome):
        self.trials[trial.number] = trial.ended(outcome)
        drawn = self._open.pop(trial.number, None)
        if drawn is None:
            return
        more = record.OBJECTIVES[self.objective]
        value = outcome.value
        if value is None:  # an oracle that is told nothing of a point may draw it again and again
            value = (min if more else max)(self._told.values(), default=WORST[more])
        self._told[trial.number] = value
        self.oracle.update_trial(drawn.trial_id, {self.objective: value})
        drawn.status = "COMPLETED"
        self.oracle.end_trial(drawn)

    def known(self):
        """Return all `Trial`s, of other workers too."""
        found = dict(self.trials)
        for event in self.journal.read():
            if event["event"] == "begin":
                number = event["trial"]
                found.setdefault(number, Trial(number, event["values"], event["epochs"]))
            elif event["event"] == "end" and event["trial"] in found:
                found[event["trial"]] = found[event["trial"]].ended(Outcome(**event["outcome"]))
        return [found[number] for number in sorted(found)]

    def release(self, trial):
        """A trial that was stopped stays begun; it is gone on with later."""

    def read(self, key):
        """Return what was last written under a key, or None."""
        noted = [e["value"] for e in self.journal.read() if e["event"] == key]
        return noted[-1] if noted else None

    def write(self, key, value):
        """Keep a JSON-able value under a key."""
        self.journal.append(event=key, value=value)

    def close(self):
        """Nothing is held open."""


def hyperparameters(space):
    """Return the space as `keras_tuner.HyperParameters`."""
    hps = keras_tuner.HyperParameters()
    paths = {each.path: each for each in space.searched}
    for each in space.searched:
        _declare(hps, each, paths, list(each.parameter.when.items()))
    return hps


def _declare(hps, searched, paths, conditions):
    if conditions:
        (path, wanted), *rest = conditions
        parent = paths[path]
        if parent.parameter.choice is None:
            raise SettingsError(f"search.{searched.path}.when: {path} is no choice")
        codes = [code for code in parent.parameter.codes if parent.parameter.decode(code) in wanted]
        with hps.conditional_scope(parent.name, codes):
            _declare(hps, searched, paths, rest)
        return
    parameter = searched.parameter
    if parameter.choice is not None:
        hps.Choice(searched.name, parameter.codes)
        return
    kind = hps.Int if parameter.integer else hps.Float
    sampling = {"sampling": "log"} if parameter.log else {"step": parameter.step}
    if parameter.integer and sampling.get("step", 1) is None:
        sampling = {}
    kind(searched.name, parameter.min, parameter.max, **sampling)


def serve_chief(engine):
    """Answer workers until they have no more to do (KerasTuner's own protocol)."""
    from keras_tuner.src.distribute.oracle_chief import start_server

    start_server(engine.oracle)


def check_roles():
    """Refuse a role without the variables that say where the chief is.

    Raises:
        SettingsError: one of them is not set.
    """
    missing = [name for name in ROLES if name not in os.environ]
    if missing:
        raise SettingsError(
            f"--role: {missing[0]} is not set; KerasTuner's chief and workers need"
            f" {', '.join(ROLES)}"
        )
