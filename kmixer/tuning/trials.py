"""Trials and their outcomes, the same for every engine."""

from __future__ import annotations

import socket
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import SettingsError, nearest

if TYPE_CHECKING:
    from ..runs.run import Run

# The objectives by name, and whether more is better.
OBJECTIVES = {"val_accuracy": True, "val_loss": False, "accuracy": True, "loss": False}
BEGUN, FINISHED, PRUNED, FAILED, INFEASIBLE = "begun", "finished", "pruned", "failed", "infeasible"
BEAT_SECONDS, LEASE_SECONDS = 10, 50  # between two heartbeats; silence after which a trial is lost
WAIT: Literal["wait"] = "wait"  # the answer of an engine that may have another trial later
COUNTED = (BEGUN, FINISHED, PRUNED, FAILED)  # an infeasible point is replaced by another one
RUN_METRICS = (
    "epochs", "seconds", "examples_per_second", "parameters", "trainable_parameters", "flops",
    "peak_memory_bytes",
)  # fmt: skip
SPREAD = ("trainings", "objective_std")  # of a trial that is the mean of several trainings
METRICS = ("val_accuracy", *RUN_METRICS, *SPREAD)  # of a finished trial
MAY_BE_UNKNOWN = {"peak_memory_bytes", *SPREAD}
MOST = 2**63  # that a metric may be


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
    metrics: dict[str, Any] = field(default_factory=dict)
    folder: str | None = None
    host: str = field(default_factory=socket.gethostname)

    def as_dict(self) -> dict[str, Any]:
        """Return it as a JSON-able dict; `Outcome(**…)` reads it back."""
        return asdict(self)


def read_outcome(values: Any) -> Outcome:
    """Return an `Outcome` that `as_dict` gave and a file has kept.

    Raises:
        ValueError: it is none.
    """
    kinds: dict[str, Any] = {
        "state": str, "reason": str | None, "value": float | int | None,
        "best_epoch": int | None, "metrics": dict, "folder": str | None, "host": str,
    }  # fmt: skip
    if not isinstance(values, dict) or values.keys() - kinds.keys() or "state" not in values:
        raise ValueError("an outcome of other keys")
    for key, value in values.items():
        if not isinstance(value, kinds[key]) or isinstance(value, bool):
            raise ValueError(f"{key}: received {value!r}")
    if values["state"] == FINISHED:
        _check_finished(values)
    return Outcome(**values)


def _check_finished(values: dict[str, Any]) -> None:
    """Refuse a finished trial without the numbers that tables and plots are made of."""
    numbers: dict[str, Any] = {"value": values.get("value"), "best_epoch": values.get("best_epoch")}
    numbers |= {key: values.get("metrics", {}).get(key) for key in METRICS}
    for key, number in numbers.items():
        if number is None and key in MAY_BE_UNKNOWN:
            continue
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if not (is_number and -MOST < number < MOST):  # infinity and NaN as well
            raise ValueError(f"{key}: received {number!r} of a finished trial")


def read_trial(number: Any, values: Any, epochs: Any = None) -> Trial:
    """Return a `Trial` that a file has kept, without its outcome.

    Raises:
        ValueError: it is none.
    """
    if type(number) is not int or number < 0 or not isinstance(values, dict):
        raise ValueError(f"trial: received {number!r} with {values!r}")
    if epochs is not None and (type(epochs) is not int or epochs < 1):
        raise ValueError(f"epochs: received {epochs!r}")
    return Trial(number, values, epochs)


@dataclass(frozen=True)
class Trial:
    """A point of the space, and how its training ended.

    Attributes:
        number: of the trial, from 0.
        values: by the path of a setting.
        epochs: to train it for; None: as the settings have it.
        outcome: None until the trial has ended.
    """

    number: int
    values: dict[str, Any]
    epochs: int | None = None
    outcome: Outcome | None = None

    @property
    def state(self) -> str:
        """`begun` or the outcome's state."""
        return self.outcome.state if self.outcome else BEGUN

    @property
    def score(self) -> float:
        """The objective's value of a finished trial.

        Raises:
            ValueError: the trial has none.
        """
        if self.outcome is None or self.outcome.value is None:
            raise ValueError(f"trial {self.number} has no value of the objective")
        return self.outcome.value

    @property
    def metrics(self) -> dict[str, Any]:
        """The metrics of the trial's run; empty without an outcome."""
        return self.outcome.metrics if self.outcome else {}

    def folder(self, root: Path) -> Path:
        """Return the folder of its run in the search's folder."""
        return Path(root) / "trials" / f"trial-{self.number:03}"

    def ended(self, outcome: Outcome) -> Trial:
        """Return the trial with its outcome."""
        return replace(self, outcome=outcome)


def check_objective(name: str) -> None:
    """Refuse an objective that no epoch measures."""
    if name not in OBJECTIVES:
        raise SettingsError(
            f"--objective: received {name!r}, not measured{nearest(name, OBJECTIVES)}"
        )


def shown(objective: str, value: float, spread: float | None = None) -> str:
    """Return a value of the objective as it is written for people: `91.20 %`, `0.2514`.

    Args:
        objective: a name of `OBJECTIVES`.
        value: of it; accuracies from 0 to 1.
        spread: the standard deviation of the trainings that it is the mean of: `91.20 ± 0.11 %`.
    """
    is_share = "accuracy" in objective
    number = (lambda part: f"{100 * part:.2f}") if is_share else (lambda part: f"{part:.4f}")
    both = number(value) + ("" if spread is None else f" ± {number(spread)}")
    return both + " %" * is_share


def counted(trials: Iterable[Trial]) -> list[Trial]:
    """Return the trials that count towards the number asked for."""
    return [trial for trial in trials if trial.state in COUNTED]


def ranked(trials: Iterable[Trial], objective: str) -> list[Trial]:
    """Return the finished trials, best first; of equals the earlier one."""
    sign = -1 if OBJECTIVES[objective] else 1
    finished = [trial for trial in trials if trial.state == FINISHED]
    return sorted(finished, key=lambda trial: (sign * trial.score, trial.number))


def pruned(epoch: int, value: float, folder: Path) -> Outcome:
    """Return the `Outcome` of a trial that was stopped because it is poor.

    Args:
        epoch: whose value decided it, counted from 1.
        value: the objective's.
        folder: of the run.
    """
    return Outcome(PRUNED, f"pruned after epoch {epoch}", value, epoch, {}, str(folder))


def measure(runs: Sequence[Run], objective: str) -> Outcome:
    """Return the `Outcome` of finished runs: one, or the seeds and folds of one trial.

    The objective, accuracy and rate are means, the seconds a sum, the memory the largest; the
    epoch is the middle one.

    Args:
        runs: of a trial, the first one first.
        objective: a name of `OBJECTIVES`.
    """
    best_of = max if OBJECTIVES[objective] else min
    best = [best_of(run.history, key=lambda row: row[objective]) for run in runs]
    values = [row[objective] for row in best]
    return Outcome(
        FINISHED,
        value=statistics.fmean(values),
        best_epoch=int(statistics.median_low(row["epoch"] for row in best)),
        metrics=_metrics(runs) | _spread(values),
        folder=str(runs[0].folder),
    )


def _metrics(runs: Sequence[Run]) -> dict[str, Any]:
    first, metrics = runs[0].metrics, [run.metrics for run in runs]
    accuracies = [each["best"]["validation"]["accuracy"] for each in metrics]
    rates = [each["examples_per_second"] for each in metrics]
    peaks = [each["peak_memory_bytes"] or 0 for each in metrics]
    return {
        "val_accuracy": statistics.fmean(accuracies),
        **{key: first[key] for key in RUN_METRICS},
        "seconds": round(sum(each["seconds"] for each in metrics), 2),
        "examples_per_second": round(statistics.fmean(rates), 1),
        "peak_memory_bytes": max(peaks) or None,
    }


def _spread(values: Sequence[float]) -> dict[str, Any]:
    """Return how far the trainings of a trial lie apart; nothing of a single one."""
    if len(values) == 1:
        return {}
    return {"trainings": len(values), "objective_std": statistics.stdev(values)}
