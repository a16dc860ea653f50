"""Runs that were begun before: the one of the same command, and whether it can be gone on with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config import loading
from ..errors import RunError
from .naming import numbered
from .run import load_run


def begun_run(settings, *, root, stem, name=None, out=None):
    """Return the run of these settings that was begun where `create_run` would make one, or None.

    Args:
        settings: resolved `Settings`.
        root: as of `create_run`, and so the others.
        stem: where there is neither name nor out, the newest numbered run of these settings.
        name: of the folder.
        out: the folder itself.

    Raises:
        RunError: what is there under `name` or `out` is another run.
    """
    if not (out or name):
        begun = (folder for folder in numbered(root, stem) if (folder / "config.yaml").is_file())
        runs = (load_run(folder) for folder in begun)
        return next((run for run in runs if not _changed(run.settings, settings)), None)
    folder = Path(out) if out else Path(root) / name
    if not (folder / "config.yaml").is_file():
        return None
    run = load_run(folder)
    if changed := _changed(run.settings, settings):
        before, now = loading.flatten(run.settings), loading.flatten(settings)
        raise RunError(changed_message(folder, changed, before, now))
    return run


def _changed(one, other):
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


def check_unfinished(run):
    """Refuse a run that no training goes on with.

    Raises:
        RunError: it is finished, or its weights were imported.
    """
    if run.imported:
        raise RunError(f"{run.folder}: its weights were imported; there is no training to resume")
    if run.finished:
        raise RunError(f"{run.folder}: finished; there is nothing to resume")
