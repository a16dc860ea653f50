"""Finished runs side by side: one table, and one picture a figure with all curves overlaid."""

import csv
import io
import os
from pathlib import Path

from . import atomic, figures
from .errors import RunError
from .runs import load_run

COLUMNS = (
    "run", "dataset", "preset", "backend", "seed", "epochs", "best_epoch",
    "train_accuracy", "validation_accuracy", "test_accuracy", "last_test_accuracy",
    "parameters", "flops", "examples_per_second", "seconds",
)  # fmt: skip
CURVES = {
    "loss": ("loss", "Training loss"),
    "train_accuracy": ("accuracy", "Training accuracy"),
    "validation_accuracy": (
        "val_accuracy",
        "Validation accuracy (beside each name: test accuracy)",
    ),
}


def find_runs(paths):
    """Open every run that the paths name.

    Args:
        paths: run folders, folders that hold run folders (such as a sweep's), or globs of either.

    Returns:
        A list of finished `Run`s, each once, in the order named.

    Raises:
        RunError: a path holds no run, or one that is incomplete or of another format.
    """
    folders = {run.resolve(): run for path in paths for run in _runs_in(Path(path))}
    return [_whole(load_run(folder)) for folder in folders.values()]


def _runs_in(path):
    if not path.exists() and any(sign in str(path) for sign in "*?["):
        root = Path(path.anchor)
        matching = sorted(root.glob(str(path.relative_to(path.anchor))))
        found = [run for match in matching for run in (match, *_below(match)) if _is_run(run)]
        if not found:
            raise RunError(f"{path}: no run folder matches")
        return found
    found = [path] if _is_run(path) else _below(path)
    if not found:
        raise RunError(
            f"{path}: {'holds no run: no config.yaml' if path.exists() else 'not there'}"
        )
    return found


def _is_run(folder):
    return (folder / "config.yaml").is_file()


def _below(folder):
    return sorted(path.parent for path in folder.rglob("config.yaml"))


def _whole(run):
    names = ("labels.txt", "history.csv", "metrics.json")
    missing = [name for name in names if not (run.folder / name).is_file()]
    if missing:
        raise RunError(
            f"{run.folder}: incomplete: no {', no '.join(missing)}; finish it with:"
            f" kmixer resume {run.folder}"
        )
    return run


def names(runs):
    """Return a name for each run: its folder's, with the folder above where two are the same."""
    plain = [run.folder.resolve().name for run in runs]
    return [
        name if plain.count(name) == 1 else f"{run.folder.resolve().parent.name}/{name}"
        for name, run in zip(plain, runs, strict=True)
    ]


def table(runs):
    """Return a dict of `COLUMNS` per run; accuracies are shares, FLOPs per image.

    Train, validation and test accuracy are those of the epoch that was best on validation.
    """
    return [{"run": name} | _row(run) for name, run in zip(names(runs), runs, strict=True)]


def differences(runs):
    """Return the settings in which the runs differ: a list of values, one a run, by key.

    What only some of the runs have, such as one optimizer's momentum, is left out.
    """
    flat = [flat_settings(run.settings) for run in runs]
    shared = [key for key in flat[0] if all(key in values for values in flat)]
    columns = {key: [values[key] for values in flat] for key in shared}
    return {key: values for key, values in columns.items() if any(v != values[0] for v in values)}


def flat_settings(settings):
    """Return the values of all settings by their paths, such as `model.blocks`."""
    return _flat(settings.model_dump(mode="json"))


def _flat(values, path=""):
    if not isinstance(values, dict):
        return {path: values}
    return {k: v for key, inner in values.items()
            for k, v in _flat(inner, f"{path}.{key}" if path else key).items()}  # fmt: skip


def _row(run):
    metrics = run.metrics
    best = metrics["best"]
    return {
        "dataset": metrics["dataset"],
        "preset": run.info.get("preset"),
        "backend": metrics["backend"],
        "seed": run.settings.training.seed,
        "epochs": metrics["epochs"],
        "best_epoch": metrics["best_epoch"],
        "train_accuracy": best["train"]["accuracy"],
        "validation_accuracy": best["validation"]["accuracy"],
        "test_accuracy": best["test"]["accuracy"],
        "last_test_accuracy": metrics["last"]["test"]["accuracy"],
        "parameters": metrics["parameters"],
        "flops": metrics["flops"],
        "examples_per_second": metrics["examples_per_second"],
        "seconds": metrics["seconds"],
    }


def as_csv(rows):
    """Return the table as CSV text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_markdown(header, cells):
    """Return a Markdown table; pipes in the cells are escaped.

    Args:
        header: the columns' titles; the first column is text, the others are numbers.
        cells: a list of texts per row.
    """
    escaped = [[str(cell).replace("|", r"\|") for cell in row] for row in (header, *cells)]
    lines = [f"| {' | '.join(row)} |" for row in escaped]
    rule = "| --- |" + " ---: |" * (len(header) - 1)
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"


def common_folder(runs):
    """Return the deepest folder that holds all the runs' folders."""
    common = Path(os.path.commonpath([run.folder.absolute().parent for run in runs]))
    return common.relative_to(Path.cwd()) if common.is_relative_to(Path.cwd()) else common


def curves(runs):
    """Return a figure with the runs' curves over each other, by each of `CURVES`."""
    labels = [f"{row['run']}  {100 * row['test_accuracy']:.2f} %" for row in table(runs)]
    histories = [run.history for run in runs]
    return {
        name: figures.overlaid(histories, labels, key, title)
        for name, (key, title) in CURVES.items()
    }


def save_curves(runs, folder):
    """Write the pictures of `curves` into a folder and return their names."""
    folder = Path(folder)
    atomic.make_folder(folder)
    pictures = {f"{name}.png": figure for name, figure in curves(runs).items()}
    for name, figure in pictures.items():
        figures.save(figure, folder / name)
    return list(pictures)
