"""Finished runs side by side: one table, and one picture a figure with all curves overlaid."""

import csv
import io
import os
from pathlib import Path

from ..config import loading
from ..errors import KmixerError, RunError
from ..files import atomic
from ..runs.run import load_run
from . import figures

COLUMNS = (
    "run", "dataset", "preset", "backend", "seed", "epochs", "best_epoch",
    "train_accuracy", "validation_accuracy", "test_accuracy", "last_test_accuracy",
    "parameters", "flops", "examples_per_second", "seconds",
)  # fmt: skip
ABSENT = object()
CURVES = {
    "loss": ("loss", "Training loss"),
    "train_accuracy": ("accuracy", "Training accuracy"),
    "validation_accuracy": (
        "val_accuracy",
        "Validation accuracy (beside each name: test accuracy)",
    ),
}


def find_runs(paths, skipped=lambda reason: None):
    """Open every run that the paths name.

    Args:
        paths: run folders, folders that hold run folders (such as a sweep's), or globs of either.
        skipped: called with one line for each folder below a path that is no finished run; a
            folder that is named itself has to be one.

    Returns:
        A list of finished `Run`s, each once, in the order named.

    Raises:
        RunError: a path holds no run, or one that is named is incomplete or of another format.
    """
    runs = {}
    for path in map(Path, map(os.path.expanduser, paths)):
        for run in [_whole(load_run(path))] if _is_run(path) else _found(path, skipped):
            runs.setdefault(run.folder.resolve(), run)
    return list(runs.values())


def _found(path, skipped):
    runs = []
    for folder in _below(path):
        try:
            runs.append(_whole(load_run(folder)))
        except KmixerError as error:
            skipped(f"left out: {error}")
    if not runs:
        is_glob = any(sign in str(path) for sign in "*?[")
        absent = "no finished run matches" if is_glob else "not there"
        there = "holds no finished run" if path.exists() else absent
        raise RunError(f"{path}: {there}; a run is a folder with config.yaml and metrics.json")
    return runs


def _below(path):
    """Return the run folders below a folder, or below what a glob matches."""
    if path.exists():
        return _runs_in(path)
    try:
        matching = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    except ValueError as error:
        raise RunError(f"{path}: not a glob: {error}") from None
    return [run for match in matching if match.is_dir() for run in _runs_in(match)]


def _runs_in(folder):
    return sorted(file.parent for file in folder.rglob("config.yaml"))


def _is_run(folder):
    return (folder / "config.yaml").is_file()


def _whole(run):
    if run.imported:
        raise RunError(f"{run.folder}: its weights were imported; it has no training to show")
    missing = [name for name in ("labels.txt", "history.csv", "metrics.json")
               if not (run.folder / name).is_file()]  # fmt: skip
    if missing:
        hint = "" if run.finished else f"; finish it with: kmixer resume {run.folder}"
        raise RunError(f"{run.folder}: incomplete: no {', no '.join(missing)}{hint}")
    if not (run.history and run.metrics and run.class_names):
        raise RunError(f"{run.folder}: incomplete: history.csv or labels.txt is empty")
    return run


def names(runs):
    """Return a name for each run: its folder's, with as many above it as tell the runs apart."""
    parts = [run.folder.resolve().parts for run in runs]
    depth = 1
    while len({path[-depth:] for path in parts}) < len(set(parts)):
        depth += 1
    return ["/".join(path[-depth:]) for path in parts]


def table(runs):
    """Return a dict of `COLUMNS` per run; accuracies are shares, FLOPs per image.

    Train, validation and test accuracy are those of the epoch that was best on validation.
    """
    return [{"run": name} | _row(run) for name, run in zip(names(runs), runs, strict=True)]


def best(rows):
    """Return the row with the best validation accuracy of each data set, by the data set."""
    chosen = {}
    for row in rows:
        before = chosen.setdefault(row["dataset"], row)
        if row["validation_accuracy"] > before["validation_accuracy"]:
            chosen[row["dataset"]] = row
    return chosen


def differences(runs):
    """Return the settings in which the runs differ: a list of values, one a run, by key.

    None stands where a run has the whole section switched off. What a run cannot have, such as
    another optimizer's momentum, is left out.
    """
    flat = [loading.flatten(run.settings) for run in runs]
    keys = dict.fromkeys(key for values in flat for key in values)
    columns = {key: [_value(values, key) for values in flat] for key in keys}
    return {
        key: values
        for key, values in columns.items()
        if ABSENT not in values and any(value != values[0] for value in values)
    }


def _value(values, key):
    parts = key.split(".")
    above = (".".join(parts[:depth]) for depth in range(1, len(parts)))
    off = any(path in values and values[path] is None for path in above)
    return values.get(key, None if off else ABSENT)


def _row(run):
    metrics = run.metrics
    at_best = metrics["best"]
    return {
        "dataset": metrics["dataset"],
        "preset": run.info["preset"],
        "backend": metrics["backend"],
        "seed": run.settings.training.seed,
        "epochs": metrics["epochs"],
        "best_epoch": metrics["best_epoch"],
        "train_accuracy": at_best["train"]["accuracy"],
        "validation_accuracy": at_best["validation"]["accuracy"],
        "test_accuracy": _test_accuracy(at_best),
        "last_test_accuracy": _test_accuracy(metrics["last"]),
        "parameters": metrics["trainable_parameters"],
        "flops": metrics["flops"],
        "examples_per_second": metrics["examples_per_second"],
        "seconds": metrics["seconds"],
    }


def _test_accuracy(figures):
    """Return the test accuracy; None of a search's trial, which did not read the test set."""
    return figures["test"] and figures["test"]["accuracy"]


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
    if common == Path(common.anchor):  # nothing in common: not a place to write to
        return Path()
    return common.relative_to(Path.cwd()) if common.is_relative_to(Path.cwd()) else common


def curves(runs):
    """Return a figure with the runs' curves over each other, by each of `CURVES`."""
    labels = [
        figures.shorten(row["run"])
        + ("" if row["test_accuracy"] is None else f"  {100 * row['test_accuracy']:.2f} %")
        for row in table(runs)
    ]
    noted = [
        f"{label}  ({run.settings.soft_labels})" if run.settings.soft_labels else label
        for label, run in zip(labels, runs, strict=True)
    ]
    histories = [run.history for run in runs]
    return {
        name: figures.overlaid(histories, labels if key.startswith("val_") else noted, key, title)
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
