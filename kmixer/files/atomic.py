"""Files that are either whole or not there."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import RunError, file_problem


@contextmanager
def replacing(path: str | Path, keep: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is fsynced and renamed to `path`.

    Args:
        path: the file to write.
        keep: where the file that was at `path` is moved to; None: it is overwritten.

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
        raise RunError(f"{path}: cannot be written: {file_problem(error)}") from error
    finally:
        _remove(temporary)


@contextmanager
def replacing_folder(folder: str | Path, mark: str) -> Iterator[Path]:
    """Yield a new folder beside `folder`; on success it is renamed to `folder`, else removed.

    Args:
        folder: the folder to write.
        mark: the name of a file in it; an existing folder is replaced only if it holds that file.

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
        raise RunError(f"{folder}: cannot be written: {file_problem(error)}") from error
    finally:
        if old.exists() and not folder.exists():  # stopped between the two renames
            os.replace(old, folder)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def remove_leftovers(folder: str | Path) -> None:
    """Remove the half-written files of killed processes; the folder has to be locked."""
    for path in Path(folder).glob(".*.tmp*"):
        path.unlink(missing_ok=True)


def sync_folder(path: str | Path) -> None:
    """Flush a folder's list of names to the disk."""
    _sync(Path(path), os.O_RDONLY)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_writable(path: str | Path) -> None:
    """Check before a long computation that `path` can be written; nothing is written to it.

    Raises:
        RunError: a file cannot be written there.
    """
    path = Path(path)
    probe = _beside(path, "probe")
    try:
        probe.touch()
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {file_problem(error)}") from None
    finally:
        _remove(probe)


def is_read_only(folder: str | Path) -> bool:
    """Return whether nothing may be written into a folder, or where it would be made.

    A full disk is not read-only: there, writing is an error.
    """
    folder = Path(folder)
    present = next((path for path in (folder, *folder.parents) if path.is_dir()), folder)
    probe = _beside(present / "x", "probe")
    try:
        probe.touch()
    except OSError as error:
        return error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
    finally:
        _remove(probe)
    return False


def _remove(path: Path) -> None:
    """Remove a file, if it is there."""
    with suppress(OSError):
        path.unlink()


def _beside(path: Path, kind: str) -> Path:
    if os.path.isdir(path):  # Path.is_dir raises for a name that is too long
        raise RunError(f"{path}: cannot be written: it is a folder")
    return path.with_name(f".{path.stem}.{os.getpid()}.{kind}")


def make_folder(path: str | Path) -> None:
    """Make a folder and its parents, unless they exist.

    Raises:
        RunError: it cannot be made.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path}: cannot be made: {file_problem(error)}") from None


def _sync(path: Path, flags: int) -> None:
    if os.name != "posix" and path.is_dir():
        return  # Windows cannot open folders; there the rename alone has to do
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
