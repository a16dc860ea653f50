"""One process at a time in a folder: a lock that the system takes back when its holder dies."""

import os
import socket
import time
from contextlib import contextmanager
from pathlib import Path

from ..errors import RunError
from . import atomic

NAME = ".lock"
NAMING_SECONDS = 0.5  # between taking a lock and writing down by whom
_held = {}  # by this process: a lock's path → its descriptor


@contextmanager
def only_one(folder, patience=0.0, name=NAME, waiting=lambda holder: None):
    """Hold a folder's lock; yield its descriptor, for child processes to hold it too.

    Who holds it already is given it again. Where the system has no such locks (Windows), None is
    yielded.

    Args:
        folder: the folder; it is made if need be.
        patience: seconds to wait for it.
        name: of the lock's file.
        waiting: called once with who holds it, if anyone does.

    Raises:
        RunError: another process holds it; the message says which.
    """
    atomic.make_folder(folder)
    path = Path(folder).resolve() / name
    if path in _held or not _available():
        yield _held.get(path)
        return
    descriptor = _wait(path, folder, time.monotonic() + patience, waiting)
    _held[path] = descriptor
    try:
        yield descriptor
    finally:
        del _held[path]
        path.unlink(missing_ok=True)  # before it is let go, so that nobody waits for a lost file
        os.close(descriptor)


def _available():
    try:
        import fcntl  # noqa: F401
    except ImportError:
        return False
    return True


def _wait(path, folder, until, waiting):
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


def _take(path):
    """Return the lock's descriptor, or None if another process holds it."""
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is(path, descriptor):  # its holder has removed it meanwhile
            raise BlockingIOError
    except OSError:
        os.close(descriptor)
        return None
    os.truncate(descriptor, 0)
    os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
    return descriptor


def _is(path, descriptor):
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _holder(path):
    until = time.monotonic() + NAMING_SECONDS
    while time.monotonic() < until:
        try:
            if said := path.read_text(encoding="utf-8", errors="replace"):
                return said
        except OSError:
            break
        time.sleep(0.02)
    return "another process"
