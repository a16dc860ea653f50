"""One process at a time in a folder: a lock that the system releases when its holder dies.

The package `filelock` would take and release the file. It does not name the holder, which is what
the user of the second process wants to know; nor does it give the descriptor to child processes,
which hold a search's lock until the last of them has ended.
"""

import os
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import KmixerWarning, RunError, file_problem
from . import atomic

NAME = ".lock"
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
    while (descriptor := _take(path)) is None:
        if holder is None:
            holder = _holder(path)
            waiting(holder)
        if time.monotonic() > until:
            raise RunError(
                f"{folder}: in use by {holder}; wait for it, or stop it, or choose another --name"
            )
        time.sleep(0.1)
    return descriptor


def _take(path: Path) -> int | None:
    """Return the lock's descriptor, or None if another process holds it."""
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {file_problem(error)}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_at(path, descriptor):  # its holder has removed the file meanwhile
            raise BlockingIOError
    except (BlockingIOError, PermissionError):  # the latter over some networks
        os.close(descriptor)
        return None
    except OSError as error:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise _NoLocksError(file_problem(error)) from None
    os.truncate(descriptor, 0)
    os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
    return descriptor


def _is_at(path: Path, descriptor: int) -> bool:
    """Say whether the open file is the one at `path`."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    """Return the name that the holder wrote into the lock, such as `process 7 on host`."""
    until = time.monotonic() + NAMING_SECONDS
    while time.monotonic() < until:
        try:
            if name := path.read_text(encoding="utf-8", errors="replace"):
                return name
        except OSError:
            break
        time.sleep(0.02)
    return "another process"
