"""KerasTuner draws the points. The journal is the truth; the oracle is rebuilt from it."""

import os
import socket
import time
from collections import deque

import keras_tuner

from ...errors import SettingsError
from ..trials import BEGUN, OBJECTIVES, WAIT, Outcome, Trial, counted
from .keras_tuner_space import hyperparameters

CHIEF_SECONDS = 120  # it may have to load its data first
EPOCHS = "tuner/epochs"  # Hyperband's, of a trial
ROLES = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
RANDOM_AT_FIRST = 8  # of a Bayesian search; KerasTuner's own is three for each setting
WORST = {True: 0.0, False: 1e3}  # by whether more is better


def _random(options, epochs):
    return keras_tuner.oracles.RandomSearchOracle(**options)


def _bayesian(options, epochs):
    return keras_tuner.oracles.BayesianOptimizationOracle(
        num_initial_points=RANDOM_AT_FIRST, **options
    )


def _grid(options, epochs):
    return keras_tuner.oracles.GridSearchOracle(**options)


def _hyperband(options, epochs):
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
        self.space, self.objective, self.journal = space, objective, journal
        options = {
            "objective": keras_tuner.Objective(
                objective, "max" if OBJECTIVES[objective] else "min"
            ),
            "hyperparameters": hyperparameters(space),
            "seed": seed + 1,  # KerasTuner takes 0 for none
            "allow_new_entries": False,
            "max_consecutive_failed_trials": 10**9,
        }
        self.most = trials
        self.oracle = TUNERS[tuner](options, epochs)
        # A chief has to count by itself, and what cannot be trained counts there too.
        self.oracle.max_trials = trials if role == "chief" else None
        self.oracle.verbose = 0
        self.oracle._set_project_dir(folder, "keras_tuner")
        self.trials, self._told, self._open = {}, {}, {}
        self.begun, self.at_chief = deque(), role == "worker"
        if self.at_chief:
            from keras_tuner.src.distribute.oracle_client import OracleClient

            wait_for_chief()
            self.oracle = OracleClient(self.oracle)
            return
        self._replay()
        if role == "chief":  # its workers ask for what was begun, and know nothing of the replay
            self.oracle._retry_queue += [t.trial_id for t in self._open.values()]
            self.oracle.ongoing_trials.clear()
            self.oracle.tuner_ids.clear()
        else:
            self.begun += [t for t in self.trials.values() if t.state == BEGUN]

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
        if not self.at_chief and self.most and len(counted(self.trials.values())) >= self.most:
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
        more = OBJECTIVES[self.objective]
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


def wait_for_chief():
    """Wait until the chief listens: gRPC would wait for an hour, and hear no signal.

    Raises:
        SettingsError: nobody listens there.
    """
    host, port = (os.environ[name] for name in ROLES[1:])
    until = time.monotonic() + CHIEF_SECONDS
    while time.monotonic() < until:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
            return
        except OSError:
            time.sleep(1)
        except ValueError:
            break
    raise SettingsError(f"--role worker: no chief answers at {host}:{port}")


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
