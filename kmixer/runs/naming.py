"""New folders for runs: numbered or named, and never seen half-filled."""

import errno
import glob
import itertools
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from ..config.presets import FOLDER_PRESETS
from ..errors import RunError, file_problem
from ..files import atomic

ROOT = "saved_models"  # where the commands put runs
TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


def run_path(name: str | Path) -> Path:
    """Return the folder that a run's name means: itself, or the one of that name in saved_models.

    A run may be called like the folder of images that it was trained on, which is none.

    Args:
        name: a path, or the name alone of a run in `saved_models`.
    """
    path = Path(os.path.expanduser(name))
    try:
        is_name = len(path.parts) == 1 and not _is_run(path) and _is_run(Path(ROOT) / path)
    except (OSError, ValueError):  # too long, or with a NUL in it
        return path
    return Path(ROOT) / path if is_name else path


def _is_run(folder: Path) -> bool:
    """Return whether a folder holds a run, or an export of one."""
    return any((folder / name).is_file() for name in ("config.yaml", "manifest.json"))


def create_folder(
    fill: Callable[[Path], object],
    *,
    root: str | Path,
    stem: str,
    name: str | None = None,
    out: str | Path | None = None,
) -> Path:
    """Fill a folder under a hidden name, rename it, and return it.

    When two processes create a folder of one name at once, renaming lets one of them through.

    Args:
        fill: called with the hidden folder.
        root: the folder that holds the new one.
        stem: the name is `<stem>-<n>`, with the first n that is free.
        name: the name under `root`, instead.
        out: the folder itself, instead; an empty one may exist.

    Raises:
        RunError: the folder exists, or cannot be made.
    """
    chosen = Path(out) if out else Path(root) / name if name else None
    if chosen and chosen.exists() and (not chosen.is_dir() or any(chosen.iterdir())):
        raise _taken(chosen)
    hidden = (chosen.parent if chosen else Path(root)) / f".{secrets.token_hex(4)}.tmp"
    _make(hidden)
    try:
        fill(hidden)
        for folder in [chosen] if chosen else _candidates(root, stem):
            if _rename(hidden, folder):
                return folder
        raise _taken(folder)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def numbered_folders(root: str | Path, stem: str) -> list[Path]:
    """Return the folders `<stem>-<n>`, the newest first."""
    start = f"{_clean(stem)}-"
    folders = [folder for folder in Path(root).glob(f"{glob.escape(start)}*") if folder.is_dir()]
    numbers = {folder: folder.name.removeprefix(start) for folder in folders}
    return sorted((f for f in folders if numbers[f].isdecimal()), key=lambda f: -int(numbers[f]))


def _candidates(root: str | Path, stem: str) -> Iterable[Path]:
    return (Path(root) / f"{_clean(stem)}-{number}" for number in itertools.count(1))


def _clean(stem: str) -> str:
    return re.sub(r"[^\w.-]+", "-", stem).strip("-") or "run"


def _taken(folder: Path) -> RunError:
    return RunError(f"{folder}: already there; choose another --name or --out")


def _make(folder: Path) -> None:
    atomic.make_folder(folder.parent)
    try:
        os.mkdir(folder)
    except OSError as error:
        raise RunError(f"{folder.parent}: cannot be written: {file_problem(error)}") from None


def _rename(hidden: Path, folder: Path) -> bool:
    """Rename a folder, unless the new name is taken; return whether it was renamed."""
    try:
        os.rename(hidden, folder)
    except OSError as error:
        if error.errno in TAKEN:
            return False
        raise RunError(f"{folder}: cannot be made: {file_problem(error)}") from None
    atomic.sync_folder(folder.parent)
    return True


def run_stem(dataset_name: str, preset: str | None) -> str:
    """Return what the name of a run begins with: its data, and the preset unless it is their own.

    Args:
        dataset_name: of the data set, or of the folder.
        preset: the preset's name, or None.
    """
    if preset is None or preset in FOLDER_PRESETS:
        return dataset_name
    return preset if preset.startswith(dataset_name) else f"{dataset_name}-{preset}"
