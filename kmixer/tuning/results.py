"""The results of a search: a table, the best settings, the test set measured once, plots."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..config import Settings, loading
from ..data.asked import check_asked_data
from ..evaluation import figures
from ..evaluation.evaluate import predict_split
from ..files import atomic
from ..files.printable import printable
from ..files.text import csv_text
from ..runs.run import MODEL_FILE, load_run, run_state
from . import plots
from .trial_run import check_drawn
from .trials import SPREAD, Trial, ranked, shown

if TYPE_CHECKING:
    from .search import Search

COSTS = ("trainable_parameters", "flops", "examples_per_second")
METRICS = ("val_accuracy", *SPREAD, "epochs", *COSTS, "seconds", "peak_memory_bytes")
COLUMNS = ("trial", "state", "reason", "objective", "best_epoch", *METRICS, "host", "folder")
TEST = "test"  # the key under which an engine keeps the test metrics


def write_results(search: Search, importance: Mapping[str, float]) -> list[str]:
    """Write best.yaml and the plots into the search's folder, beside `write_table`'s file.

    Args:
        search: the `Search`.
        importance: of the settings, by path; see `analysis.importance`.

    Returns:
        The names of the files.
    """
    plan = search.plan
    best = ranked(search.engine.all_trials(), plan.objective)
    atomic.write_text(plan.folder / "best.yaml", best_yaml(search, best[0]))
    drawings = {
        "parallel.png": partial(plots.parallel, best, search.space, plan.objective),
        "cost.png": partial(plots.costs, best, COSTS),
        "importance.png": partial(plots.importances, importance),
    }
    for name, draw in drawings.items():
        figures.save(draw(), plan.folder / name)
    return ["best.yaml", *drawings]


def write_table(search: Search) -> None:
    """Write trials.csv."""
    text = trials_csv(search.engine.all_trials(), list(search.plan.section))
    atomic.write_text(search.plan.folder / "trials.csv", text)


def trials_csv(trials: Iterable[Trial], setting_paths: Sequence[str]) -> str:
    """Return all trials as CSV: how each ended, and the values of the searched settings."""
    columns = [*COLUMNS, *setting_paths]
    rows = map(_row, trials)
    return csv_text(columns, [{key: _cell(row.get(key)) for key in columns} for row in rows])


def _row(trial: Trial) -> dict[str, Any]:
    row = {"trial": trial.number, "state": trial.state} | trial.values
    outcome = trial.outcome
    if outcome is None:
        return row
    row |= {
        "reason": outcome.reason, "objective": outcome.value, "host": outcome.host,
        "best_epoch": outcome.best_epoch, "folder": outcome.folder,
    }  # fmt: skip
    return row | {key: outcome.metrics.get(key) for key in METRICS}


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict | bool) else value


def best_yaml(search: Search, trial: Trial) -> str:
    """Return the settings of a finished trial as YAML that trains it again."""
    plan = search.plan
    epoch = trial.outcome.best_epoch if trial.outcome else None
    command = f"kmixer train {plan.settings.data.name} --config {plan.folder / 'best.yaml'}"
    score = f"{plan.objective} {shown(plan.objective, trial.score)}"
    about = f"Trial {trial.number} of {plan.folder.name}: {score} in epoch {epoch}"
    heading = f"# {printable(about)}\n#\n#   {printable(command)}\n"
    return heading + loading.dump(settings_of(search, trial))


def settings_of(search: Search, trial: Trial) -> Settings:
    """Return the settings of a trial's run; without its folder, those it was started with.

    Raises:
        RunError: the run is not the trial's.
    """
    folder, drawn = trial.folder(search.plan.folder), search.trial_settings(trial)
    if run_state(folder) == "new":  # it is on another machine
        return drawn
    settings = load_run(folder).settings
    check_drawn(folder, trial, drawn, settings)
    return search.plan.scoring.without_folds(settings, search.plan.settings)


def read_test(search: Search, trial: Trial) -> dict[str, Any] | None:
    """Return the test metrics of the best trial's weights, which are measured once.

    Returns:
        `{"trial", "accuracy", "loss"}`, or None where its weights are not on this machine.

    Raises:
        DataError: the run names images that were never named on this machine.
        RunError: it is not the trial's.
    """
    known = search.engine.read(TEST)
    if known and known["trial"] == trial.number:
        return known
    folder = trial.folder(search.plan.folder)
    if not (folder / MODEL_FILE).is_file():
        return None
    settings = settings_of(search, trial)
    check_asked_data(settings.data, folder)
    model, images = load_run(folder).load_model(), search.datasets.load(settings.data).test
    predictions = predict_split(model, images)
    measured = {
        "trial": trial.number, "accuracy": predictions.accuracy, "loss": predictions.loss,
    }  # fmt: skip
    search.engine.write(TEST, measured)
    return measured
