"""What signals ask of a training: end after the step, save and go on, or end at once."""

import signal
import threading
from contextlib import contextmanager

from ..errors import InterruptedRunError


class StopRequest:
    """What signals have asked of the training.

    Attributes:
        signal: the one that asked it to stop, or None.
        save: whether SIGUSR1 asked for a checkpoint.
    """

    def __init__(self):
        self.signal, self.save, self._state = None, False, None

    def ask(self, number, frame):
        """Note a signal, or raise for it where nothing would look at the note."""
        if self.signal is not None:
            raise InterruptedRunError("stopped at once", number)
        self.signal = number
        self._raise()

    def ask_to_save(self, number, frame):
        """Note that a checkpoint is wanted."""
        self.save = True

    def heed_at_once(self, state):
        """Raise for a signal now, if one came, and from now on in the moment it comes.

        Args:
            state: of the run, for the message.

        Raises:
            InterruptedRunError: one came.
        """
        self._state = state
        self._raise()

    def _raise(self):
        if self.signal is not None and self._state is not None:
            raise InterruptedRunError(f"interrupted; {self._state}", self.signal)


@contextmanager
def stop_requests():
    """Yield a `StopRequest` that SIGINT, SIGTERM and SIGHUP set; a second signal stops at once.

    SIGUSR1 asks for a checkpoint, as schedulers do before they stop a job. A signal that is ignored
    (SIGHUP under nohup) stays ignored. Outside the main thread nothing can be caught, and the
    request stays unset.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    stopping = _caught(("SIGINT", "SIGTERM", "SIGHUP"), request.ask)
    with stopping, _caught(("SIGUSR1",), request.ask_to_save):
        yield request


@contextmanager
def terminations_as_errors():
    """Let SIGTERM and SIGHUP end what runs with an error, so that what is half done is removed.

    Raises:
        InterruptedRunError: one of them came.
    """

    def stop(number, frame):
        raise InterruptedRunError("interrupted; nothing half-written was kept", number)

    with _caught(("SIGTERM", "SIGHUP"), stop):
        yield


@contextmanager
def _caught(names, handler):
    """Install a handler for signals, but for those that are ignored, or not there (Windows)."""
    present = [getattr(signal, name) for name in names if hasattr(signal, name)]
    caught = [number for number in present if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in caught}
    try:
        yield
    finally:
        for number, kept in before.items():
            signal.signal(number, kept)
