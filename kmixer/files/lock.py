"""One process at a time in a folder: a lock that the system releases when its holder dies.

The package `filelock` would take and release the file. It does not name the holder, which is what
the user of the second process wants to know; nor does it give the descriptor to child processes,
which hold a search's lock until the last of them has ended.
"""

import errno
import os
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import KmixerWarning, RunError, file_problem
from . import atomic
from .opened import NEVER_WAIT, NO_LINK, check_own_file, is_plain_file
from .printable import printable

NAME = ".lock"
LONGEST_NAME = 200  # bytes of the holder's
HELD = (errno.EAGAIN, errno.EACCES, errno.EPERM)  # by another process; the latter over networks
NAMING_SECONDS = 0.5  # between taking a lock and writing the holder's name into it
_held: dict[Path, int] = {}  # by this process: a lock's path → its descriptor


@contextmanager
def folder_lock(
    folder: str | Path,
    patience: float = 0.0,
    name: str = NAME,
    waiting: Callable[[str], object] = lambda holder: None,
) -> Iterator[int | None]:
    """Hold a folder's lock; yield its descriptor, for child processes to hold it too.

    A process that holds it already gets it again. Where the system has no such locks (Windows),
    None is yielded; where the file system has none (some of networks, clouds), a warning says so.

    Args:
        folder: the folder; it is made if need be.
        patience: seconds to wait for it.
        name: of the lock's file.
        waiting: called once with the holder's name, if another process holds it.

    Raises:
        RunError: another process holds it; the message names it.
    """
    atomic.make_folder(folder)
    path = Path(folder).resolve() / name
    if path in _held or not _available():
        yield _held.get(path)
        return
    descriptor = _lock(path, folder, time.monotonic() + patience, waiting)
    if descriptor is None:
        yield None
        return
    _held[path] = descriptor
    try:
        yield descriptor
    finally:
        del _held[path]
        path.unlink(missing_ok=True)  # before the release, so that nobody waits for a removed file
        os.close(descriptor)


class _NoLocksError(Exception):
    """The file system has no locks."""


def _available() -> bool:
    try:
        import fcntl  # noqa: F401
    except ImportError:
        return False
    return True


def _lock(
    path: Path, folder: str | Path, until: float, waiting: Callable[[str], object]
) -> int | None:
    """Return the lock's descriptor; where the file system has no locks, warn and return None."""
    try:
        return _wait(path, folder, until, waiting)
    except _NoLocksError as error:
        warnings.warn(
            f"{folder}: its file system has no locks ({error}); let no second process write there",
            KmixerWarning,
            stacklevel=1,
        )
        return None


def _wait(path: Path, folder: str | Path, until: float, waiting: Callable[[str], object]) -> int:
    holder = None
    while isinstance(taken := _take(path), str):
        if holder is None:
            holder = taken
            waiting(holder)
        if time.monotonic() > until:
            raise RunError(
                f"{folder}: in use by {holder}; wait for it, or stop it, or choose another --name"
            )
        time.sleep(0.1)
    return taken


def _take(path: Path) -> int | str:
    """Return the lock's descriptor, or the name of another process that holds it."""
    descriptor = _open(path)
    try:
        problem = _flock(descriptor)
        if problem is None and _is_at(path, descriptor):  # else its holder has just removed it
            _write_name(descriptor)
            return descriptor
        holder = _holder(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    if problem is not None and (problem.errno not in HELD or _is_nobodys(problem, holder)):
        path.unlink(missing_ok=True)
        raise _NoLocksError(file_problem(problem))
    return holder or "another process"


def _open(path: Path) -> int:
    """Open the lock's file, which is made if need be.

    Raises:
        RunError: it cannot be made, or is a link or no regular file: nothing is written to it.
    """
    try:
        check_own_file(path)
        flags = os.O_RDWR | os.O_CREAT | NO_LINK | NEVER_WAIT
        descriptor = os.open(path, flags, 0o644)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {file_problem(error)}") from None
    if not is_plain_file(os.fstat(descriptor)):
        os.close(descriptor)
        raise RunError(f"{path}: is a link, or no regular file; remove it")
    return descriptor


def _flock(descriptor: int) -> OSError | None:
    """Lock an open file; return why that failed, or None."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error
    return None


def _is_nobodys(problem: OSError, holder: str) -> bool:
    """Return whether a lock is refused though nobody holds it.

    Over some networks, "permission denied" says that another process has the lock, over others that
    there are no locks. Whoever has it writes its name into it.
    """
    return problem.errno in (errno.EACCES, errno.EPERM) and not holder


def _write_name(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)


def _is_at(path: Path, descriptor: int) -> bool:
    """Say whether the open file is the one at `path`."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _holder(descriptor: int) -> str:
    """Return the name that the holder wrote into the lock, such as `process 7 on host`."""
    until = time.monotonic() + NAMING_SECONDS
    while time.monotonic() < until:
        if name := os.pread(descriptor, LONGEST_NAME, 0):
            return printable(name.decode("utf-8", "replace"))
        time.sleep(0.02)
    return ""
