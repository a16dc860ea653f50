"""Files that are either whole or not there."""

import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import RunError


@contextmanager
def replacing(path, keep=None):
    """Yield a temporary path beside `path`; on success it is fsynced and renamed to `path`.

    Args:
        path: what is to be written.
        keep: a path that gets what was at `path` before.

    Raises:
        RunError: the disk is full or the file cannot be written; `path` is as it was.
    """
    path = Path(path)
    temporary = _beside(path, f"tmp{path.suffix}")
    try:
        yield temporary
        _sync(temporary, os.O_RDWR)
        if keep and path.exists():
            os.replace(path, keep)
        os.replace(temporary, path)
        _sync(path.parent, os.O_RDONLY)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        _remove(temporary)


@contextmanager
def replacing_folder(folder, mark):
    """Yield a new folder beside `folder`; on success it takes its place, else it is removed.

    Args:
        folder: where it is to be.
        mark: a file that a folder of the same kind holds; only such a one is replaced.

    Raises:
        RunError: something else is there, or the disk does not allow it; `folder` is as it was.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / mark).is_file():
        raise RunError(f"{folder}: already there, and it holds no {mark}; choose another --out")
    make_folder(folder.parent)
    temporary, old = (
        folder.parent / f".{folder.name}.{os.getpid()}.{kind}" for kind in ("tmp", "old")
    )
    try:
        temporary.mkdir()
        yield temporary
        for path in temporary.rglob("*"):
            if path.is_file():
                _sync(path, os.O_RDWR)
        if folder.exists():
            os.replace(folder, old)
        os.replace(temporary, folder)
        _sync(folder.parent, os.O_RDONLY)
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror or error}") from error
    finally:
        if old.exists() and not folder.exists():  # stopped between the two renames
            os.replace(old, folder)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def remove_leftovers(folder):
    """Remove what processes that were killed left half-written in a folder that is locked."""
    for path in Path(folder).glob(".*.tmp*"):
        path.unlink(missing_ok=True)


def sync_folder(path):
    """Flush a folder's list of names to the disk."""
    _sync(Path(path), os.O_RDONLY)


def write_text(path, text):
    """Write a text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_writable(path):
    """Raise now what `replacing` would raise after hours; `path` itself is not touched.

    Raises:
        RunError: a file cannot be written there.
    """
    path = Path(path)
    probe = _beside(path, "probe")
    try:
        probe.touch()
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        _remove(probe)


def _remove(path):
    """Remove a file that may not be there, even where none can be."""
    with suppress(OSError):
        path.unlink()


def _beside(path, kind):
    if os.path.isdir(path):  # Path.is_dir raises for a name that is too long
        raise RunError(f"{path}: cannot be written: it is a folder")
    return path.with_name(f".{path.stem}.{os.getpid()}.{kind}")


def make_folder(path):
    """Make a folder and its parents, where they are not there yet.

    Raises:
        RunError: it cannot be made.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path}: cannot be made: {error.strerror}") from None


def _sync(path, flags):
    if os.name != "posix" and path.is_dir():
        return  # Windows cannot open folders; there the rename alone has to do
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
