"""Folders that are either whole or not there: filled under a hidden name, then renamed.

The process that fills one holds a lock on it, which the system releases when the process dies. What
nobody holds is the leftover of a killed process, and the next one removes it.
"""

import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import RunError, file_problem
from . import atomic
from .opened import OpenFolder, hidden_name, opened, refuse_links

_HIDDEN = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{16}\.(?P<kind>tmp|old)")
_READ_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)


@contextmanager
def replacing_folder(
    folder: str | Path, mark: str, within: str | Path | None = None
) -> Iterator[Path]:
    """Yield a new folder beside `folder`; on success it is renamed to `folder`, else removed.

    Args:
        folder: the folder to write.
        mark: the name of a file in it; an existing folder is replaced only if it holds that file.
        within: see `atomic.replacing`.

    Raises:
        RunError: something else is there, or the disk does not allow it; `folder` is as it was.
    """
    folder = Path(folder)
    refuse_links(folder, folder.parent)
    try:
        with opened(folder.parent, within, make=True) as parent:
            remove_abandoned(folder.parent)
            if parent.status(folder.name) and not (folder / mark).is_file():
                raise RunError(
                    f"{folder}: already there, and it holds no {mark}; choose another --out"
                )
            with _new_folder(parent, folder) as temporary:
                yield folder.parent / temporary
                _sync_files(folder.parent / temporary)
                _exchange(parent, temporary, folder)
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {file_problem(error)}") from error


@contextmanager
def temporary_folder(folder: str | Path, name: str) -> Iterator[Path]:
    """Yield a new folder in `folder`, under a hidden name; it is removed at the end."""
    with opened(folder) as parent:
        remove_abandoned(folder)
        with _new_folder(parent, Path(folder) / name) as temporary:
            yield Path(folder) / temporary


@contextmanager
def _new_folder(parent: OpenFolder, folder: Path) -> Iterator[str]:
    """Make a hidden folder, hold it, and yield its name; what is left of it is removed."""
    new, temporary = (hidden_name(folder.name, kind) for kind in ("new", "tmp"))
    parent.make_folder(new)
    try:
        with _held(parent, new):
            parent.rename(new, temporary)  # only now others look at it, and see that it is held
            yield temporary
    finally:
        for name in (new, temporary):
            shutil.rmtree(parent.path / name, ignore_errors=True)


def _exchange(parent: OpenFolder, temporary: str, folder: Path) -> None:
    """Give the new folder its name, and remove the one that had it."""
    old = hidden_name(folder.name, "old")
    try:
        if parent.status(folder.name):
            with _held(parent, folder.name):
                parent.rename(folder.name, old)
                parent.rename(temporary, folder.name)
        else:
            parent.rename(temporary, folder.name)
        parent.sync()
    finally:
        if parent.status(old) and not parent.status(folder.name):  # stopped between the renames
            parent.rename(old, folder.name)
        shutil.rmtree(parent.path / old, ignore_errors=True)


def _sync_files(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            atomic.sync_file(path)
    atomic.sync_folder(folder)


def remove_abandoned(folder: str | Path) -> None:
    """Remove the hidden folders of killed processes, and put back what one had moved away.

    Args:
        folder: that the hidden folders lie in; what another process holds is left alone.
    """
    with suppress(OSError), opened(folder) as parent:
        for entry in sorted(os.listdir(folder), reverse=True):  # .old before .tmp
            if match := _HIDDEN.fullmatch(entry):
                _remove_if_abandoned(parent, entry, match["name"], match["kind"])


def _remove_if_abandoned(parent: OpenFolder, entry: str, name: str, kind: str) -> None:
    status = parent.status(entry)
    if status is None or not stat.S_ISDIR(status.st_mode):
        return
    with _held(parent, entry) as free:
        if not free:
            return
        if kind == "old" and parent.status(name) is None:
            parent.rename(entry, name)
        else:
            shutil.rmtree(parent.path / entry, ignore_errors=True)


@contextmanager
def _held(parent: OpenFolder, name: str) -> Iterator[bool]:
    """Hold a folder; yield False where another process holds it, or the system has no locks."""
    try:
        import fcntl
    except ImportError:
        yield False
        return
    descriptor = parent.open(name, _READ_FOLDER)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def remove_leftovers(folder: str | Path) -> None:
    """Remove what killed processes left half-written in a folder and its own folders.

    Args:
        folder: of a run; it has to be locked.
    """
    atomic.remove_leftovers(folder)
    for path in Path(folder).iterdir():
        if path.is_dir() and not path.is_symlink():
            remove_abandoned(path)
