"""Find the run to resume, and compare settings with those that a folder was begun with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config import Settings, loading
from ..errors import RunError
from .consistency import has_checkpoint, inconsistency
from .naming import numbered_folders
from .run import Run, load_run, run_state


def find_resumable_run(
    settings: Settings,
    *,
    root: str | Path,
    stem: str,
    name: str | None = None,
    out: str | Path | None = None,
) -> Run | None:
    """Return the run with these settings where `create_run` would make one, or None.

    Args:
        settings: resolved `Settings`.
        root: see `create_run`.
        stem: see `create_run`; without name and out it is the newest numbered run with these
            settings.
        name: see `create_run`.
        out: see `create_run`.

    Raises:
        RunError: the folder of `name` or `out` holds a run with other settings.
    """
    if not (out or name):
        runs = (load_run(f) for f in numbered_folders(root, stem) if run_state(f) != "new")
        return next((run for run in runs if not _changed(run.settings, settings)), None)
    folder = Path(out) if out else Path(root) / str(name)
    if run_state(folder) == "new":
        return None
    run = load_run(folder)
    if changed := _changed(run.settings, settings):
        before, now = loading.flatten(run.settings), loading.flatten(settings)
        raise RunError(changed_message(folder, changed, before, now))
    return run


def _changed(one: Settings, other: Settings) -> list[str]:
    """Return the paths at which two settings differ, ignoring `checkpoint_every`."""
    paths = changed_keys(loading.flatten(one), loading.flatten(other))
    return [path for path in paths if path != "training.checkpoint_every"]


def changed_keys(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the keys whose values differ, or that only one of the two has."""
    return [key for key in {**before, **now} if before.get(key) != now.get(key)]


def changed_message(
    folder: str | Path,
    changed: list[str],
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    expected: str = "the same, or another --name",
) -> str:
    """Return the error for a command that differs from the one that its folder was begun with.

    Args:
        folder: of a run, a sweep or a search.
        changed: the keys that differ, one or more; the first is named.
        before: the values that the folder was begun with, by key.
        now: the values of this command, by key.
        expected: what to do instead.
    """
    key = changed[0]
    more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
    return (
        f"{folder}: begun with {key} {before.get(key)!r}, received {now.get(key)!r}{more};"
        f" expected {expected}"
    )


def check_unfinished(run: Run) -> None:
    """Refuse a run that has no training to resume.

    Raises:
        RunError: it is finished, or its weights were imported. One whose metrics.json is damaged,
            or does not belong to the other files, is not finished if a checkpoint is there.
    """
    if run.imported:
        raise RunError(f"{run.folder}: its weights were imported; there is no training to resume")
    if not run.finished:
        return
    problem = inconsistency(run)
    if problem is None:
        raise RunError(f"{run.folder}: finished; there is nothing to resume")
    if not has_checkpoint(run.folder):
        raise RunError(problem)
