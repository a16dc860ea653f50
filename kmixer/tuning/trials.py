"""What is known of a trial, whichever engine drew it."""

import socket
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ..errors import SettingsError, nearest

# How an objective is named, and whether more of it is better.
OBJECTIVES = {"val_accuracy": True, "val_loss": False, "accuracy": True, "loss": False}
BEGUN, FINISHED, PRUNED, FAILED, INFEASIBLE = "begun", "finished", "pruned", "failed", "infeasible"
BEAT_SECONDS, LEASE_SECONDS = 10, 50  # a worker is alive; it has been silent for too long
WAIT = "wait"  # what an engine says that has nothing now, but may have later
COUNTED = (BEGUN, FINISHED, PRUNED, FAILED)  # what was never trained is drawn anew


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        state: `finished`, `pruned`, `failed` or `infeasible`.
        reason: one line, where it did not finish.
        value: the objective's best over the epochs.
        best_epoch: that had it, counted from 1.
        metrics: the run's: parameters, flops, examples_per_second, seconds, …
        folder: of the run, as the process that ran it names it.
        host: that ran it.
    """

    state: str
    reason: str | None = None
    value: float | None = None
    best_epoch: int | None = None
    metrics: dict = field(default_factory=dict)
    folder: str | None = None
    host: str = field(default_factory=socket.gethostname)

    def as_dict(self):
        """Return it as a JSON-able dict; `Outcome(**…)` reads it back."""
        return asdict(self)


@dataclass(frozen=True)
class Trial:
    """A point of the space, and what came of it.

    Attributes:
        number: of the trial, from 0.
        values: by the path of a setting.
        epochs: to train it for; None: as the settings have it.
        outcome: None while it is begun.
    """

    number: int
    values: dict
    epochs: int | None = None
    outcome: Outcome | None = None

    @property
    def state(self):
        """`begun` or the outcome's state."""
        return self.outcome.state if self.outcome else BEGUN

    def folder(self, root):
        """Return where its run lies in the search's folder."""
        return Path(root) / "trials" / f"trial-{self.number:03}"

    def ended(self, outcome):
        """Return the trial with its outcome."""
        return replace(self, outcome=outcome)


def check_objective(name):
    """Refuse an objective that no epoch measures."""
    if name not in OBJECTIVES:
        raise SettingsError(
            f"--objective: received {name!r}, not measured{nearest(name, OBJECTIVES)}"
        )


def counted(trials):
    """Return the trials that count towards the number asked for."""
    return [trial for trial in trials if trial.state in COUNTED]


def ranked(trials, objective):
    """Return the finished trials, best first; of equals the earlier one."""
    sign = -1 if OBJECTIVES[objective] else 1
    finished = [trial for trial in trials if trial.state == FINISHED]
    return sorted(finished, key=lambda trial: (sign * trial.outcome.value, trial.number))


def measure(run, objective, folder):
    """Return the `Outcome` of a run that has come to its end."""
    best = (max if OBJECTIVES[objective] else min)(run.history, key=lambda row: row[objective])
    metrics = run.metrics
    kept = ("epochs", "seconds", "examples_per_second", "parameters", "trainable_parameters",
            "flops", "peak_memory_bytes")  # fmt: skip
    return Outcome(
        FINISHED, None, best[objective], int(best["epoch"]),
        {"val_accuracy": metrics["best"]["validation"]["accuracy"]}
        | {key: metrics[key] for key in kept},
        str(folder),
    )  # fmt: skip
