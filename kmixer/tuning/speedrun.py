"""Seconds to a test accuracy: the record of a speed run's trainings, and what they showed.

speedrun.json    the seconds of each training, by the name of its folder; null: begun, not finished
sweep.yaml       the settings of each, as in a sweep
90-seed0/, …     the run folders
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import Annotated, Any

from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError

from ..errors import RunError
from ..files import atomic
from ..files.opened import refuse_links
from ..files.text import read_text
from ..runs.conditions import devices
from ..runs.run import Run, load_run, run_state
from .speed_recipes import SpeedRecipe, choose_marks, read_recipe

FILE = "speedrun.json"
FLIP_FOLDER = Path("evaluation", "flip-averaging")  # in a run's folder
FLIP_METRICS = FLIP_FOLDER / "metrics.json"
MOST_BYTES = 1_000_000
_SECONDS = TypeAdapter(dict[str, Annotated[FiniteFloat, Field(ge=0)] | None])


@dataclass(frozen=True)
class Training:
    """One training of a speed run.

    Attributes:
        mark: the test accuracy to reach, in per cent.
        seed: of the training.
        recipe: how it is to be reached.
    """

    mark: int
    seed: int
    recipe: SpeedRecipe

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.mark}-seed{self.seed}"

    @property
    def assignments(self) -> list[str]:
        """The assignments of recipe and seed; the seed's is the last, which wins."""
        return [*self.recipe.assignments, f"training.seed={self.seed}"]


def plan(
    dataset: str, marks: Sequence[int] | None, seeds: int, other: SpeedRecipe | None,
    assignments: Sequence[str],
) -> list[Training]:  # fmt: skip
    """Return the trainings of a speed run: of each mark as many as there are seeds.

    Args:
        dataset: its name.
        marks: to reach, in per cent; None: all of the data set.
        seeds: how many, from 0 on.
        other: the recipe to try for all of them; None: each mark's own.
        assignments: `path=value` texts, laid over each recipe.

    Raises:
        SettingsError: the data set has no marks, or not one of those.
    """
    trainings = []
    for mark in choose_marks(dataset, marks):
        recipe = other or read_recipe(dataset, mark)
        recipe = replace(recipe, assignments=(*recipe.assignments, *assignments))
        trainings += [Training(mark, seed, recipe) for seed in range(seeds)]
    return trainings


def read_seconds(folder: Path) -> dict[str, float | None]:
    """Return the recorded seconds by the names of the trainings; None: begun, not finished.

    Raises:
        RunError: the record is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        return _SECONDS.validate_json(read_text(path, most=MOST_BYTES))
    except ValidationError:
        raise RunError(
            f"{path}: damaged, expected seconds by the names of runs; choose another --name"
        ) from None


def is_measured(folder: Path, training: Training) -> bool:
    """Return whether a training and its test figure are finished and their seconds are recorded."""
    run = folder / training.name
    if read_seconds(folder).get(training.name) is None or run_state(run) != "finished":
        return False
    return not training.recipe.flip_averaging or (run / FLIP_METRICS).is_file()


def begin(folder: Path, name: str) -> None:
    """Make room for a training and record that it begins.

    One that was interrupted begins anew: seconds of two processes are not those of a command.

    Args:
        folder: of the speed run.
        name: of the training.

    Raises:
        RunError: a folder is in the way that no training of this speed run made.
    """
    path, seconds = folder / name, read_seconds(folder)
    refuse_links(path, within=folder)
    if path.exists():
        if name not in seconds:
            raise RunError(f"{path}: not of this speed run; move it away, or choose another --name")
        shutil.rmtree(path)
    record(folder, name, None)


def record(folder: Path, name: str, seconds: float | None) -> None:
    """Record the seconds of a training; None: it begins."""
    values = read_seconds(folder) | {name: seconds}
    atomic.write_text(folder / FILE, json.dumps(values, indent=2) + "\n", within=folder)


def describe(
    folder: Path, trainings: Sequence[Training], commands: Mapping[int, str]
) -> dict[str, Any]:
    """Return what the trainings of a speed run showed, as a JSON-able dict.

    Args:
        folder: of the speed run.
        trainings: measured ones.
        commands: of each mark's trainings, but for the seed.
    """
    runs = [load_run(folder / training.name) for training in trainings]
    rows: dict[int, list[dict[str, Any]]] = {mark: [] for mark in commands}
    for training in trainings:
        rows[training.mark].append(describe_training(folder, training))
    return {
        "device": _distinct(devices(run.info) for run in runs),
        "threads": _distinct(_threads(run) for run in runs),
        "backend": _distinct(run.metrics["backend"] for run in runs),
        "git_commit": _distinct(run.info.get("git_commit") for run in runs),
        "marks": [
            {"mark": mark, "command": commands[mark]} | _mark(mark, seeds)
            for mark, seeds in rows.items()
        ],
    }


def describe_training(folder: Path, training: Training) -> dict[str, Any]:
    """Return what a measured training showed: the test accuracy of validation's best epoch."""
    run = load_run(folder / training.name)
    metrics, test = run.metrics, run.metrics["best"]["test"]
    if training.recipe.flip_averaging:
        test = json.loads(read_text(run.folder / FLIP_METRICS, most=MOST_BYTES))
    return {
        "seed": training.seed,
        "accuracy": test["accuracy"],
        "seconds": round(read_seconds(folder)[training.name] or 0, 2),
        "epochs": metrics["epochs"],
        "best_epoch": metrics["best_epoch"],
    }


def _mark(mark: int, seeds: list[dict[str, Any]]) -> dict[str, Any]:
    accuracies, seconds = ([row[key] for row in seeds] for key in ("accuracy", "seconds"))
    accuracy = round(mean(accuracies), 6)
    return {
        "accuracy_mean": accuracy,
        "accuracy_min": min(accuracies),
        "seconds_mean": round(mean(seconds), 2),
        "seconds_median": round(median(seconds), 2),
        "reached": accuracy >= mark / 100,
        "seeds": seeds,
    }


def _threads(run: Run) -> Any:
    conditions = run.info.get("conditions")
    return conditions.get("threads") if isinstance(conditions, dict) else None


def _distinct(values: Iterable[object]) -> str:
    """Return the one value that all runs share, or all there are."""
    return "; ".join(dict.fromkeys(map(str, values)))
