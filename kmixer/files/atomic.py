"""Files that are either whole or not there."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import RunError, file_problem
from .opened import OpenFolder, hidden_name, opened


@contextmanager
def replacing(
    path: str | Path, keep: Path | None = None, within: str | Path | None = None
) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is fsynced and renamed to `path`.

    Nothing is written through a link: one at `path` is replaced by the file.

    Args:
        path: the file to write.
        keep: where in the folder the file that was at `path` is moved to; None: it is overwritten.
        within: a folder that the file lies in; a link between the two is refused. None: links are
            followed, up to the file's own folder.

    Raises:
        RunError: the disk is full or the file cannot be written; `path` is as it was.
    """
    path = Path(path)
    _refuse_folder(path)
    name = hidden_name(path.stem, f"tmp{path.suffix}")
    try:
        with opened(path.parent, within) as folder:
            try:
                yield path.parent / name if within is None else folder.reach(name)
                _finish(folder, name, path.name, keep)
            finally:
                folder.remove(name)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {file_problem(error)}") from error


def _finish(folder: OpenFolder, name: str, new: str, keep: Path | None) -> None:
    """Flush a file and give it its name."""
    _sync(folder.open(name, os.O_RDWR))
    if keep and folder.status(new):
        folder.rename(new, keep.name)
    folder.rename(name, new)
    folder.sync()


def write_text(path: str | Path, text: str, within: str | Path | None = None) -> None:
    """Write a text file atomically; for `within` see `replacing`."""
    with replacing(path, within=within) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove_leftovers(folder: str | Path) -> None:
    """Remove the half-written files of killed processes; the folder has to be locked."""
    for path in Path(folder).glob(".*.tmp*"):
        with suppress(OSError):  # a folder: staging.py knows whether it is in use
            path.unlink()


def sync_folder(path: str | Path) -> None:
    """Flush a folder's list of names to the disk."""
    with opened(path) as folder:
        folder.sync()


def sync_file(path: str | Path) -> None:
    """Flush a file to the disk."""
    _sync(os.open(path, os.O_RDWR))


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_writable(path: str | Path) -> None:
    """Check before a long computation that `path` can be written; nothing is written to it.

    Raises:
        RunError: a file cannot be written there.
    """
    path = Path(path)
    _refuse_folder(path)
    try:
        _probe(path.parent)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {file_problem(error)}") from None


def is_read_only(folder: str | Path) -> bool:
    """Return whether nothing may be written into a folder, or where it would be made.

    A full disk is not read-only: there, writing is an error.
    """
    folder = Path(folder)
    present = next((path for path in (folder, *folder.parents) if path.is_dir()), folder)
    try:
        _probe(present)
    except OSError as error:
        return error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
    return False


def _probe(path: Path) -> None:
    """Make a file in a folder and remove it."""
    name = hidden_name("x", "probe")
    with opened(path) as folder:
        os.close(folder.create(name))
        folder.remove(name)


def _refuse_folder(path: Path) -> None:
    if os.path.isdir(path):  # Path.is_dir raises for a name that is too long
        raise RunError(f"{path}: cannot be written: it is a folder")


def make_folder(path: str | Path, within: str | Path | None = None) -> None:
    """Make a folder and its parents, unless they exist.

    Args:
        path: of the folder.
        within: a folder above it; a link between the two is refused. None: links are followed.

    Raises:
        RunError: it cannot be made.
    """
    try:
        if within is None:
            Path(path).mkdir(parents=True, exist_ok=True)
        else:
            with opened(path, within, make=True):
                pass
    except OSError as error:
        raise RunError(f"{path}: cannot be made: {file_problem(error)}") from None
