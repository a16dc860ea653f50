"""What is told of a run, a sweep or a search: read from its folder, which has it anyway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import loading
from ..runs import provenance
from ..runs.run import (
    CARD_FILE,
    CONFIG_FILE,
    HISTORY_FILE,
    LABELS_FILE,
    METRICS_FILE,
    MODEL_FILE,
)
from .records import find_parent
from .tracker import Result, Steps, Subject

if TYPE_CHECKING:
    from ..runs.run import Run

MODEL_FILES = (MODEL_FILE, LABELS_FILE, CONFIG_FILE, CARD_FILE)
TABLES = ("*.csv", "*.yaml", "comparison/*.csv", "comparison/*.md")
PICTURES = ("*.png", "comparison/*.png")


def run_subject(run: Run) -> Subject:
    """Return the `Subject` of a run."""
    info = run.info
    labels = {
        "version": info["versions"].get("kmixer"), "commit": info["git_commit"],
        "preset": info["preset"], "dataset": info["dataset"], "device": info["device"],
        "backend": run.settings.training.backend, "command": info["command"],
    }  # fmt: skip
    params = loading.flatten(run.settings)
    return Subject(run.name, run.folder, params, _named(labels), find_parent(run.folder))


def run_steps(run: Run) -> Steps:
    """Return the epochs of a run, by the columns of history.csv."""
    return [
        (int(row["epoch"]), {key: value for key, value in row.items() if key != "epoch"})
        for row in run.history
    ]


def run_result(run: Run) -> Result:
    """Return the `Result` of a finished run."""
    folder = run.folder
    return Result(
        metrics=_numbers(run.metrics),
        steps=run_steps(run),
        pictures=_present(folder, ["*.png"]),
        model=_present(folder, MODEL_FILES),
        tables=_present(folder, [HISTORY_FILE, METRICS_FILE]),
    )


def group_subject(folder: Path, params: Mapping[str, Any], dataset: str) -> Subject:
    """Return the `Subject` of a sweep or a search.

    Args:
        folder: its path.
        params: what it was asked to do, by name.
        dataset: its name.
    """
    version = provenance.versions().get("kmixer")
    labels = {"version": version, "commit": provenance.git_commit(), "dataset": dataset}
    name = folder.resolve().name
    return Subject(name, folder, dict(params), _named(labels), holds_others=True)


def group_result(folder: Path, metrics: Mapping[str, Any], steps: Steps) -> Result:
    """Return the `Result` of a sweep or a search, with the tables and pictures of its folder.

    Args:
        folder: its path.
        metrics: of the whole, by name.
        steps: (the number of a run or trial, counted from 1, its values) of all.
    """
    return Result(
        _numbers(metrics), steps, _present(folder, PICTURES), tables=_present(folder, TABLES)
    )


def _named(labels: Mapping[str, Any]) -> dict[str, str]:
    return {f"kmixer.{key}": str(value) for key, value in labels.items() if value is not None}


def _numbers(values: Mapping[str, Any], above: str = "") -> dict[str, float]:
    """Return the numbers of nested dicts by their paths, such as `best.test.accuracy`."""
    found: dict[str, float] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= _numbers(value, f"{above}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[above + key] = float(value)
    return found


def _present(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the files of a folder; what a link leads to is not the folder's."""
    found = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    return [path for path in found if path.is_file() and not path.is_symlink()]
