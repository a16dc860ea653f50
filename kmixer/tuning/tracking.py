"""A sweep or a search as the parent of what is tracked of its runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import loading
from ..runs.run import load_run, run_state
from ..tracking.subjects import group_result, group_subject
from ..tracking.tracking import tracked
from .trials import ranked

if TYPE_CHECKING:
    from ..config import Settings
    from ..tracking.tracker import Result
    from .plan import Plan
    from .search import Search


def sweep_trackers(runs: Iterable[Settings]) -> list[str]:
    """Return the trackers that the runs of a sweep name."""
    return [*dict.fromkeys(name for settings in runs for name in settings.training.track)]


@contextmanager
def tracked_sweep(
    folder: Path, runs: Mapping[str, Settings], grid: Mapping[str, list[Any]]
) -> Iterator[None]:
    """Track a sweep while its runs are trained and compared.

    Args:
        folder: its path.
        runs: the `Settings` of each run, by its name.
        grid: the values of each setting, by its path.
    """
    names = sweep_trackers(runs.values())
    if not names:
        yield
        return
    first, *others = [loading.flatten(settings) for settings in runs.values()]
    shared = {
        path: value
        for path, value in first.items()
        if all(path in other and other[path] == value for other in others)
    }
    params = shared | {f"grid.{path}": values for path, values in grid.items()}
    subject = group_subject(folder, params, str(first["data.name"]))
    with tracked(names, subject, lambda: _sweep_result(folder, runs)) as tracking:
        tracking.begin()
        yield


def _sweep_result(folder: Path, runs: Iterable[str]) -> Result:
    """Return what a finished sweep showed: its best run on validation, and that run's test."""
    steps = []
    for number, name in enumerate(runs, 1):
        if run_state(folder / name) == "finished":
            best = load_run(folder / name).metrics["best"]
            splits = {"val_accuracy": best["validation"], "test_accuracy": best["test"]}
            steps.append((number, {key: part["accuracy"] for key, part in splits.items() if part}))
    best_values = max((values for _, values in steps), key=lambda values: values["val_accuracy"])
    return group_result(folder, {"runs": len(steps), "best": best_values}, steps)


@contextmanager
def tracked_search(plan: Plan) -> Iterator[Callable[[Search], None]]:
    """Track a search; yield a function that is called with it once it is open.

    Args:
        plan: the `Plan`.
    """
    names = plan.settings.training.track
    if not names:
        yield lambda search: None
        return
    opened: list[Search] = []
    subject = group_subject(plan.folder, plan.definition(), str(plan.settings.data.name))
    with tracked(names, subject, lambda: _search_result(opened[0])) as tracking:

        def begin(search: Search) -> None:
            opened.append(search)
            tracking.begin()

        yield begin


def _search_result(search: Search) -> Result:
    from .results import TEST  # imports Keras

    objective = search.plan.objective
    finished = ranked(search.engine.all_trials(), objective)
    best, measured = finished[0], search.engine.read(TEST) or {}
    test = {key: value for key, value in measured.items() if key != "trial"}
    steps = [(trial.number + 1, {objective: trial.score}) for trial in finished]
    metrics = {
        "trials": len(finished),
        "best": {"trial": best.number, objective: best.score, "test": test},
    }
    return group_result(search.plan.folder, metrics, sorted(steps, key=lambda step: step[0]))
