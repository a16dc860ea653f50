"""Finished runs side by side: one table, and figures with all their curves overlaid."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import loading
from ..errors import KmixerError, RunError
from ..files import atomic
from ..files.markdown import markdown_table
from ..files.text import csv_text
from ..runs.consistency import check_consistent
from ..runs.naming import run_path
from ..runs.run import (
    CONFIG_FILE,
    HISTORY_FILE,
    LABELS_FILE,
    METRICS_FILE,
    MODEL_FILE,
    load_run,
    run_state,
)
from . import figures
from .fonts import LONGEST_NAME, drawable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..runs.run import Run

Row = dict[str, Any]  # one run's cells by the names in COLUMNS

COLUMNS = (
    "run", "dataset", "preset", "backend", "seed", "epochs", "best_epoch",
    "train_accuracy", "validation_accuracy", "test_accuracy", "last_test_accuracy",
    "parameters", "flops", "examples_per_second", "seconds",
)  # fmt: skip
NOT_A_SETTING = object()  # stands where a run's model, optimizer, … has no such key
CURVES = {
    "loss": ("loss", "Training loss"),
    "train_accuracy": ("accuracy", "Training accuracy"),
    "validation_accuracy": (
        "val_accuracy",
        "Validation accuracy (beside each name: test accuracy)",
    ),
}


def find_runs(
    paths: Iterable[str | Path], skipped: Callable[[str], object] = lambda reason: None
) -> list[Run]:
    """Open every run that the paths name.

    Args:
        paths: run folders, folders that hold run folders (such as a sweep's), or globs of either.
        skipped: called with one line for each folder below a path that is no finished run; a
            folder that is named itself has to be one.

    Returns:
        The finished `Run`s, each once, in the order named.

    Raises:
        RunError: a path holds no run, or a named one is incomplete or of another format.
    """
    runs: dict[Path, Run] = {}
    for path in map(run_path, paths):
        is_run = run_state(path) != "new"
        for run in [_load_complete(path)] if is_run else _load_below(path, skipped):
            runs.setdefault(run.folder.resolve(), run)
    return list(runs.values())


def _load_below(path: Path, skipped: Callable[[str], object]) -> list[Run]:
    runs = []
    for folder in _run_folders(path):
        try:
            runs.append(_load_complete(folder))
        except KmixerError as error:
            skipped(f"left out: {error}")
    if not runs:
        is_glob = any(sign in str(path) for sign in "*?[")
        missing = "no finished run matches" if is_glob else "not there"
        problem = "holds no finished run" if path.exists() else missing
        raise RunError(
            f"{path}: {problem}; a run is a folder with {CONFIG_FILE} and {METRICS_FILE}"
        )
    return runs


def _run_folders(path: Path) -> list[Path]:
    """Return the run folders below a folder, or below the folders that match a glob."""
    if path.exists():
        return _run_folders_in(path)
    try:
        matches = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    except ValueError as error:
        raise RunError(f"{path}: not a glob: {error}") from None
    return [folder for match in matches if match.is_dir() for folder in _run_folders_in(match)]


def _run_folders_in(folder: Path) -> list[Path]:
    return sorted(file.parent for file in folder.rglob(CONFIG_FILE))


def _load_complete(folder: Path) -> Run:
    """Open a run that has all that a comparison shows."""
    run = load_run(folder)
    if run.imported:
        raise RunError(f"{run.folder}: its weights were imported; it has no training to show")
    files = (LABELS_FILE, HISTORY_FILE, METRICS_FILE)
    missing = [name for name in files if not (run.folder / name).is_file()]
    if missing:
        hint = "" if run.finished else f"; finish it with: kmixer resume {run.folder}"
        raise RunError(f"{run.folder}: incomplete: no {', no '.join(missing)}{hint}")
    if not (run.history and run.metrics and run.class_names):
        raise RunError(f"{run.folder}: incomplete: {HISTORY_FILE} or {LABELS_FILE} is empty")
    check_consistent(run, but=[MODEL_FILE])
    return run


def run_names(runs: Sequence[Run]) -> list[str]:
    """Return the runs' folder names, with as many folders above as make the names unique."""
    parts = [run.folder.resolve().parts for run in runs]
    depth = 1
    while len({path[-depth:] for path in parts}) < len(set(parts)):
        depth += 1
    return ["/".join(path[-depth:]) for path in parts]


def table(runs: Sequence[Run]) -> list[Row]:
    """Return a dict of `COLUMNS` per run; accuracies are shares, FLOPs per image.

    Train, validation and test accuracy are those of the epoch that was best on validation.
    """
    return [{"run": name} | _row(run) for name, run in zip(run_names(runs), runs, strict=True)]


def best_rows(rows: Iterable[Row]) -> dict[str, Row]:
    """Return, for each data set, the row with the best validation accuracy."""
    best: dict[str, Row] = {}
    for row in rows:
        best_before = best.setdefault(row["dataset"], row)
        if row["validation_accuracy"] > best_before["validation_accuracy"]:
            best[row["dataset"]] = row
    return best


def differences(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Return the settings that differ between the runs, as a list of one value a run by key.

    The value is None where a run has the whole section switched off. Settings that a run cannot
    have, such as another optimizer's momentum, are left out.
    """
    flat = [loading.flatten(run.settings) for run in runs]
    keys = dict.fromkeys(key for values in flat for key in values)
    columns = {key: [_value(values, key) for values in flat] for key in keys}
    return {
        key: values
        for key, values in columns.items()
        if NOT_A_SETTING not in values and any(value != values[0] for value in values)
    }


def _value(values: Mapping[str, Any], key: str) -> Any:
    parts = key.split(".")
    sections = (".".join(parts[:depth]) for depth in range(1, len(parts)))
    is_off = any(path in values and values[path] is None for path in sections)
    return values.get(key, None if is_off else NOT_A_SETTING)


def _row(run: Run) -> Row:
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


def _test_accuracy(metrics: Mapping[str, Any]) -> float | None:
    """Return the test accuracy; None for a search's trial, which did not read the test set."""
    return None if metrics["test"] is None else metrics["test"]["accuracy"]


def as_csv(rows: Iterable[Row]) -> str:
    """Return the table as CSV text."""
    return csv_text(COLUMNS, rows)


def as_markdown(header: Sequence[str], cells: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; what has a meaning in Markdown is escaped.

    Args:
        header: the columns' titles; the first column is text, the others are numbers.
        cells: of each row, in the columns' order.
    """
    return markdown_table([header, *cells])


def common_folder(runs: Sequence[Run]) -> Path:
    """Return the deepest folder that holds all the runs' folders."""
    common = Path(os.path.commonpath([run.folder.absolute().parent for run in runs]))
    if common == Path(common.anchor):  # nothing is common, and "/" is no folder to write to
        return Path()
    return common.relative_to(Path.cwd()) if common.is_relative_to(Path.cwd()) else common


def curves(runs: Sequence[Run]) -> dict[str, Figure]:
    """Return a figure with the curves of all runs for each name in `CURVES`."""
    rows = table(runs)
    names = drawable([row["run"] for row in rows], LONGEST_NAME, "in the order of the runs")
    labels = [
        name + ("" if row["test_accuracy"] is None else f"  {100 * row['test_accuracy']:.2f} %")
        for name, row in zip(names, rows, strict=True)
    ]
    train_labels = [
        f"{label}  ({run.settings.soft_labels})" if run.settings.soft_labels else label
        for label, run in zip(labels, runs, strict=True)
    ]
    histories = [run.history for run in runs]
    return {
        name: figures.overlaid(
            histories, labels if key.startswith("val_") else train_labels, key, title
        )
        for name, (key, title) in CURVES.items()
    }


def save_curves(runs: Sequence[Run], folder: str | Path) -> list[str]:
    """Write the figures of `curves` into a folder and return the files' names."""
    folder = Path(folder)
    atomic.make_folder(folder)
    files = {f"{name}.png": figure for name, figure in curves(runs).items()}
    for name, figure in files.items():
        figures.save(figure, folder / name)
    return list(files)
