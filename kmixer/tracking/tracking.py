"""Several trackers as one, none of which can stop what it follows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext

from ..errors import InterruptedRunError, KmixerWarning, describe
from ..files.lock import folder_lock
from .records import Record, read_records, write_records
from .tracker import Result, State, Steps, Subject, Tracker
from .trackers import open_tracker

LOCK = ".tracking.lock"
PATIENCE_SECONDS = 60  # MLflow makes its database in seconds


class Tracking:
    """The trackers of one subject; one that fails is left out from then on, with a warning.

    Args:
        names: of the trackers.
        subject: the `Subject`.
    """

    def __init__(self, names: Iterable[str], subject: Subject) -> None:
        self.names, self.subject = tuple(dict.fromkeys(names)), subject
        self.trackers: dict[str, Tracker] = {}
        self.records: dict[str, Record] = {}

    def begin(self) -> None:
        """Begin a record in each tracker, or go on with the one that the folder names."""
        for name in self.names:
            # Several workers of a search may begin it at once.
            shared = folder_lock(self.subject.folder, PATIENCE_SECONDS, LOCK)
            with self._guarded(name), shared if self.subject.holds_others else nullcontext():
                self._begin(name)

    def _begin(self, name: str) -> None:
        subject = self.subject
        self.records |= read_records(subject.folder)
        earlier = self.records.get(name)
        parent = read_records(subject.parent).get(name) if subject.parent else None
        tracker = open_tracker(name)
        id = tracker.begin(subject, earlier.id if earlier else None, parent.id if parent else None)
        self.records[name] = earlier if earlier and earlier.id == id else Record(id=id)
        write_records(subject.folder, self.records)
        self.trackers[name] = tracker

    def log(self, steps: Steps) -> None:
        """Record the epochs that a tracker has not received yet.

        Args:
            steps: (the epoch, counted from 1, its values) of all so far.
        """
        for name, tracker in [*self.trackers.items()]:
            with self._guarded(name):
                record = self.records[name]
                new = [(step, values) for step, values in steps if step > record.steps]
                for step, values in new:
                    tracker.log(step, values)
                if new:
                    self.records[name] = record.model_copy(update={"steps": new[-1][0]})
                    write_records(self.subject.folder, self.records)

    def end(self, state: State, result: Result) -> None:
        """Record the result and how it ended."""
        self.log(result.steps)
        for name, tracker in [*self.trackers.items()]:
            with self._guarded(name):
                tracker.end(state, result)
        self.trackers = {}

    @contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        """Turn whatever a tracker raises into a warning, and leave the tracker out."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of libraries, about themselves
                yield
        except Exception as error:
            self.trackers.pop(name, None)
            warnings.warn(
                f"{name}: {self.subject.folder} is not tracked there from now on:"
                f" {_reason(error)}; all else goes on",
                KmixerWarning,
                stacklevel=3,
            )


def _reason(error: Exception) -> str:
    """Return why a tracker failed; the kind of error is no help where the words are whole."""
    text = describe(error)
    return text.removeprefix(f"{type(error).__name__}: ").rstrip(".")


@contextmanager
def tracked(
    names: Iterable[str], subject: Subject, result: Callable[[], Result]
) -> Iterator[Tracking]:
    """Track what happens within; `Tracking.begin` has to be called there.

    Args:
        names: of the trackers.
        subject: the `Subject`.
        result: called at the end, if all went well.
    """
    tracking = Tracking(names, subject)
    try:
        yield tracking
    except BaseException as error:
        stopped = isinstance(error, InterruptedRunError | KeyboardInterrupt)
        tracking.end("stopped" if stopped else "failed", Result(reason=describe(error)))
        raise
    if tracking.trackers:
        tracking.end("finished", result())
