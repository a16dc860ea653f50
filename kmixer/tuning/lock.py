"""One search at a time in a folder, its trials included."""

import os
import time
from contextlib import contextmanager

from .. import atomic
from ..errors import RunError

PATIENCE_SECONDS = 15  # trials of a search that was killed end within a step


@contextmanager
def only_one(folder, patience=PATIENCE_SECONDS):
    """Hold a folder's lock; yield its file descriptor, for trials to hold it too.

    Args:
        folder: the search's.
        patience: seconds to wait for it.

    Where the system has no such locks (Windows), None is yielded.

    Raises:
        RunError: another search, or a trial of one, holds it.
    """
    try:
        import fcntl
    except ImportError:
        yield None
        return
    atomic.make_folder(folder)
    with (folder / ".lock").open("a") as file:
        until = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > until:
                    raise RunError(
                        f"{folder}: another kmixer tune works here; wait for it, stop it, or"
                        " choose another --name"
                    ) from None
                time.sleep(0.2)
        os.set_inheritable(file.fileno(), True)
        yield file.fileno()
