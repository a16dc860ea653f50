"""One process at a time prepares a data set; the others wait for it."""

import sys
from contextlib import contextmanager

from .. import atomic
from ..errors import DataError


@contextmanager
def alone(name, folder):
    """Hold the lock of a data set's preparation; wait for it as long as another process holds it.

    The system takes it from a process that dies. Where there are no such locks (Windows), none is
    held.

    Args:
        name: of the data set, such as `mnist/3.0.1`.
        folder: where prepared data sets lie.

    Raises:
        KmixerError: nothing can be written in the folder.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with _lock_file(name, folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{name}: waiting for another process that prepares it", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _lock_file(name, folder):
    atomic.make_folder(folder)
    try:
        return (folder / f".{name.replace('/', '-')}.lock").open("a")
    except OSError as error:
        raise DataError(f"{name}: {folder} cannot be written: {error.strerror}") from None
