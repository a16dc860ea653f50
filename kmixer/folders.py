"""New folders for runs: numbered, or as named."""

import glob
import os
import re
from pathlib import Path

from . import atomic
from .errors import RunError


def number(root, stem):
    """Return the first free `<stem>-<n>` under `root`; mkdir decides between two at once."""
    number = 1
    while True:
        folder = Path(root) / f"{_clean(stem)}-{number}"
        try:
            _make(folder)
            return folder
        except FileExistsError:
            number += 1


def numbered(root, stem):
    """Return the folders that `number` made, the newest first."""
    start = f"{_clean(stem)}-"
    folders = [folder for folder in Path(root).glob(f"{glob.escape(start)}*") if folder.is_dir()]
    numbers = {folder: folder.name.removeprefix(start) for folder in folders}
    return sorted((f for f in folders if numbers[f].isdecimal()), key=lambda f: -int(numbers[f]))


def _clean(stem):
    return re.sub(r"[^\w.-]+", "-", stem).strip("-") or "run"


def claim(folder):
    """Return a folder that is new, or empty.

    Raises:
        RunError: something is in it, or it cannot be made.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder}: already there; choose another --name or --out")
    if not folder.exists():
        _make(folder)
    return folder


def _make(folder):
    """Make a folder and its parents; a FileExistsError says that the folder itself was there."""
    atomic.make_folder(folder.parent)
    try:
        os.mkdir(folder)
    except FileExistsError:
        raise
    except OSError as error:
        raise RunError(f"{folder}: cannot be made: {error.strerror}") from None
