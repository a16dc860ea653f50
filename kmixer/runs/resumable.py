"""Runs that were begun before: the one of the same command, and whether it can be gone on with."""

from pathlib import Path

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
        return next((run for run in runs if not _difference(run.settings, settings)), None)
    folder = Path(out) if out else Path(root) / name
    if not (folder / "config.yaml").is_file():
        return None
    run = load_run(folder)
    if key := _difference(run.settings, settings):
        before, now = (loading.flat(s)[key] for s in (run.settings, settings))
        raise RunError(
            f"{folder}: begun with {key} {before!r}, received {now!r}; expected the same, or"
            " another --name"
        )
    return run


def _difference(one, other):
    """Return the first key in which two settings differ, but for how often is saved, or None."""
    one, other = loading.flat(one), loading.flat(other)
    keys = [key for key in one | other if key != "training.checkpoint_every"]
    return next((key for key in keys if one.get(key) != other.get(key)), None)


def check_unfinished(run):
    """Refuse a run that no training goes on with.

    Raises:
        RunError: it is finished, or its weights were imported.
    """
    if run.imported:
        raise RunError(f"{run.folder}: its weights were imported; there is no training to resume")
    if run.finished:
        raise RunError(f"{run.folder}: finished; there is nothing to resume")
