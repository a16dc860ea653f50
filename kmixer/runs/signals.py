"""Signals to a training: stop after the step, save a checkpoint, or stop at once."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from ..errors import InterruptedRunError


class StopRequest:
    """What signals have asked of the training.

    Attributes:
        signal: the number of the one that asked it to stop, or None.
        save: whether SIGUSR1 asked for a checkpoint.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.save = False
        self._state: str | None = None

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Note a signal; raise for a second one, or where nothing looks at the note any more."""
        if self.signal is not None:
            raise InterruptedRunError("stopped at once", number)
        self.signal = number
        self._raise_if_final()

    def ask_to_save(self, number: int, frame: FrameType | None) -> None:
        """Note that a checkpoint is wanted."""
        self.save = True

    def raise_if_requested(self, state: str) -> None:
        """Raise for a signal that came, and from now on as soon as one comes.

        Args:
            state: of the run, for the message.

        Raises:
            InterruptedRunError: a signal came.
        """
        self._state = state
        self._raise_if_final()

    def _raise_if_final(self) -> None:
        if self.signal is not None and self._state is not None:
            raise InterruptedRunError(f"interrupted; {self._state}", self.signal)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Yield a `StopRequest` that SIGINT, SIGTERM and SIGHUP set; a second signal stops at once.

    SIGUSR1 asks for a checkpoint, as schedulers do before they stop a job. A signal that is ignored
    (SIGHUP under nohup) stays ignored. Outside the main thread nothing can be caught, and the
    request stays unset.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    stopping = _handled(("SIGINT", "SIGTERM", "SIGHUP"), request.ask)
    with stopping, _handled(("SIGUSR1",), request.ask_to_save):
        yield request


@contextmanager
def terminations_as_errors() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise an error, so that half-written files are removed.

    Raises:
        InterruptedRunError: one of them came.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise InterruptedRunError("interrupted; nothing half-written was kept", number)

    with _handled(("SIGTERM", "SIGHUP"), stop):
        yield


@contextmanager
def _handled(
    names: Sequence[str], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """Install a handler, except for signals that are ignored or do not exist (on Windows)."""
    existing = [getattr(signal, name) for name in names if hasattr(signal, name)]
    handled = [number for number in existing if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in handled}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
