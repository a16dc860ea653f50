"""What a search found: a table, the best settings, the test set read once, pictures."""

import csv
import io
import json
from functools import partial

import numpy as np

from ..config import loading
from ..evaluation import figures
from ..evaluation.evaluate import predict
from ..files import atomic
from ..runs.run import load_run
from . import pictures, record

COST = ("trainable_parameters", "flops", "examples_per_second")
METRICS = ("val_accuracy", "epochs", *COST, "seconds", "peak_memory_bytes")
COLUMNS = ("trial", "state", "reason", "objective", "best_epoch", *METRICS, "host", "folder")
TEST = "test"  # under which the figures of the test set are kept
LEAST_FOR_IMPORTANCE = 8
NONE = -0.2  # below the axis: a setting that a trial does not have
TREES, REPEATS = 200, 20


def write_results(search, shares):
    """Write best.yaml and the pictures into the search's folder, beside `write_table`'s file.

    Args:
        search: the `Search`.
        shares: the `importance` of the settings.

    Returns:
        The names of the files.
    """
    plan, trials = search.plan, search.engine.known()
    best = record.ranked(trials, plan.objective)
    atomic.write_text(plan.folder / "best.yaml", best_yaml(search, best[0]))
    drawn = {
        "parallel.png": partial(pictures.parallel, best, search.space, plan.objective),
        "cost.png": partial(pictures.costs, best, COST),
        "importance.png": partial(pictures.importances, shares),
    }
    for name, draw in drawn.items():
        figures.save(draw(), plan.folder / name)
    return ["best.yaml", *drawn]


def write_table(search):
    """Write trials.csv."""
    text = as_csv(search.engine.known(), list(search.plan.section))
    atomic.write_text(search.plan.folder / "trials.csv", text)


def as_csv(trials, paths):
    """Return all trials as CSV text: how each ended, and what it was trained with."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*COLUMNS, *paths], lineterminator="\n", restval="")
    writer.writeheader()
    for trial in trials:
        row = {"trial": trial.number, "state": trial.state} | trial.values
        if outcome := trial.outcome:
            row |= {"reason": outcome.reason, "objective": outcome.value, "host": outcome.host,
                    "best_epoch": outcome.best_epoch, "folder": outcome.folder}  # fmt: skip
            row |= {key: outcome.metrics.get(key) for key in METRICS}
        writer.writerow(
            {key: _cell(value) for key, value in row.items() if key in writer.fieldnames}
        )
    return text.getvalue()


def _cell(value):
    return json.dumps(value) if isinstance(value, list | dict | bool) else value


def best_yaml(search, trial):
    """Return the settings of a trial as YAML that trains it again."""
    settings, outcome = settings_of(search, trial), trial.outcome
    name = search.plan.settings.data.name
    return (
        f"# Trial {trial.number} of {search.plan.folder.name}:"
        f" {search.plan.objective} {outcome.value:.6g} in epoch {outcome.best_epoch}\n"
        f"#\n#   kmixer train {name} --config {search.plan.folder / 'best.yaml'}\n"
        + loading.dump(settings)
    )


def settings_of(search, trial):
    """Return the settings of a trial's run; where it lies elsewhere, those it was begun with."""
    folder = trial.folder(search.plan.folder)
    here = (folder / "config.yaml").is_file()
    return load_run(folder).settings if here else search.trial_settings(trial)


def read_test(search, trial):
    """Return the test figures of the best trial's weights, which are measured once.

    Returns:
        `{"trial", "accuracy", "loss"}`, or None where its weights are not on this machine.
    """
    known = search.engine.read(TEST)
    if known and known["trial"] == trial.number:
        return known
    folder = trial.folder(search.plan.folder)
    if not (folder / "model.keras").is_file():
        return None
    run = load_run(folder)
    said = predict(run.load_model(), search.data_of(run.settings).test)
    measured = {"trial": trial.number, "accuracy": said.accuracy, "loss": said.loss}
    search.engine.write(TEST, measured)
    return measured


def importance(trials, space):
    """Return how much the objective depends on each setting, as shares that sum to 1, by path.

    A forest of trees is fitted to the finished trials; a setting's share is what the fit loses when
    the setting's values are shuffled (scikit-learn's permutation importance).

    Args:
        trials: finished `Trial`s.
        space: the `Space`.

    Returns:
        A dict, most important first; empty with fewer than eight trials or equal values.
    """
    values = np.array([trial.outcome.value for trial in trials])
    if len(trials) < LEAST_FOR_IMPORTANCE or np.ptp(values) == 0:
        return {}
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    paths = list(dict.fromkeys(each.path for each in space.searched))
    columns = np.array(
        [[position(space, path, trial.values) for path in paths] for trial in trials]
    )
    forest = RandomForestRegressor(TREES, random_state=0).fit(columns, values)
    lost = permutation_importance(forest, columns, values, n_repeats=REPEATS, random_state=0)
    shares = np.maximum(lost.importances_mean, 0)
    shares = shares / (shares.sum() or 1)
    return dict(sorted(zip(paths, map(float, shares), strict=True), key=lambda item: -item[1]))


def position(space, path, values):
    """Return where a value lies in its range or choice, from 0 to 1; `NONE` where it has none."""
    for each in space.searched:
        if each.path == path and path in values and each.active(values):
            return _position(each.parameter, values[path])
    return NONE


def _position(parameter, value):
    if not parameter.holds(value):  # the search has been extended since
        return NONE
    if parameter.listed is not None:
        return parameter.listed.index(value) / max(len(parameter.listed) - 1, 1)
    low, high = parameter.min, parameter.max
    if parameter.log:
        low, high, value = np.log([low, high, value])
    return float((value - low) / (high - low))


def pareto(trials, cost, more=False):
    """Return the trials that no other beats in accuracy without costing more.

    Args:
        trials: finished `Trial`s.
        cost: the name of a metric.
        more: whether more of it is better.
    """
    sign = -1 if more else 1
    front, best = [], -1.0
    key = lambda t: (sign * t.outcome.metrics[cost], -t.outcome.metrics["val_accuracy"])  # noqa: E731
    for trial in sorted(trials, key=key):
        if trial.outcome.metrics["val_accuracy"] > best:
            best = trial.outcome.metrics["val_accuracy"]
            front.append(trial)
    return front
