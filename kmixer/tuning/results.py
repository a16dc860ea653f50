"""What a search found: a table, the best settings, the test set read once, pictures."""

import csv
import io
import json
from functools import partial

from ..config import loading
from ..evaluation import figures
from ..evaluation.evaluate import predict
from ..files import atomic
from ..runs.run import load_run
from . import plots
from .trials import ranked

COST = ("trainable_parameters", "flops", "examples_per_second")
METRICS = ("val_accuracy", "epochs", *COST, "seconds", "peak_memory_bytes")
COLUMNS = ("trial", "state", "reason", "objective", "best_epoch", *METRICS, "host", "folder")
TEST = "test"  # under which the figures of the test set are kept


def write_results(search, shares):
    """Write best.yaml and the pictures into the search's folder, beside `write_table`'s file.

    Args:
        search: the `Search`.
        shares: the `importance` of the settings.

    Returns:
        The names of the files.
    """
    plan, trials = search.plan, search.engine.known()
    best = ranked(trials, plan.objective)
    atomic.write_text(plan.folder / "best.yaml", best_yaml(search, best[0]))
    drawn = {
        "parallel.png": partial(plots.parallel, best, search.space, plan.objective),
        "cost.png": partial(plots.costs, best, COST),
        "importance.png": partial(plots.importances, shares),
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
