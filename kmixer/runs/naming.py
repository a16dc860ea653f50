"""New folders for runs: numbered, or as named; whole from their first moment."""

import errno
import glob
import itertools
import os
import re
import secrets
import shutil
from pathlib import Path

from ..errors import RunError
from ..files import atomic

TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


def create(fill, *, root, stem, name=None, out=None):
    """Fill a folder under a hidden name, rename it, and return it.

    Of two at once under one name, renaming lets one through.

    Args:
        fill: called with the hidden folder.
        root: the folder that holds the new one.
        stem: it is `<stem>-<n>`, with the first n that is free.
        name: its name under `root`, instead.
        out: the folder itself, instead; an empty one may be there.

    Raises:
        RunError: something is there, or it cannot be made.
    """
    wanted = Path(out) if out else Path(root) / name if name else None
    if wanted and wanted.exists() and (not wanted.is_dir() or any(wanted.iterdir())):
        raise _taken(wanted)
    hidden = (wanted.parent if wanted else Path(root)) / f".{secrets.token_hex(4)}.tmp"
    _make(hidden)
    try:
        fill(hidden)
        numbers = (Path(root) / f"{_clean(stem)}-{number}" for number in itertools.count(1))
        for folder in [wanted] if wanted else numbers:
            if _renamed(hidden, folder):
                return folder
        raise _taken(wanted)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def numbered(root, stem):
    """Return the numbered folders of a stem, the newest first."""
    start = f"{_clean(stem)}-"
    folders = [folder for folder in Path(root).glob(f"{glob.escape(start)}*") if folder.is_dir()]
    numbers = {folder: folder.name.removeprefix(start) for folder in folders}
    return sorted((f for f in folders if numbers[f].isdecimal()), key=lambda f: -int(numbers[f]))


def _clean(stem):
    return re.sub(r"[^\w.-]+", "-", stem).strip("-") or "run"


def _taken(folder):
    return RunError(f"{folder}: already there; choose another --name or --out")


def _make(folder):
    atomic.make_folder(folder.parent)
    try:
        os.mkdir(folder)
    except OSError as error:
        raise RunError(f"{folder.parent}: cannot be written: {error.strerror}") from None


def _renamed(hidden, folder):
    """Rename a folder, unless something is there; say if it was."""
    try:
        os.rename(hidden, folder)
    except OSError as error:
        if error.errno in TAKEN:
            return False
        raise RunError(f"{folder}: cannot be made: {error.strerror}") from None
    atomic.sync_folder(folder.parent)
    return True
