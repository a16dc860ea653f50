"""Ctrl-C, SIGTERM and SIGHUP while training: end the step, keep what is whole, say how to go on."""

import signal
import threading
from contextlib import contextmanager

from .errors import InterruptedRunError


class StopRequest:
    """Which signal, if any, has asked the training to stop."""

    def __init__(self):
        self.signal = None


@contextmanager
def stop_requests():
    """Yield a `StopRequest` that SIGINT, SIGTERM and SIGHUP set; a second signal stops at once.

    A signal that is ignored (SIGHUP under nohup) stays ignored. Outside the main thread nothing can
    be caught, and the request stays unset.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(number, frame):
        if request.signal is not None:
            raise InterruptedRunError("stopped at once", request.signal)
        request.signal = number

    with _caught(("SIGINT", "SIGTERM", "SIGHUP"), ask):
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
