"""Trackio: a run in the project kmixer, in `TRACKIO_DIR` or wherever its other variables say."""

from __future__ import annotations

import os
import re
import secrets
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from ..errors import KmixerError, one_line
from .tracker import PROJECT, Result, State, Subject

# Unless the user has set them: nothing is sent to anybody.
ENVIRONMENT = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}


def tracker() -> TrackioTracker:
    """Import Trackio."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import trackio  # noqa: F401

    return TrackioTracker()


class TrackioTracker:
    """A run of Trackio; those of a sweep or a search are a group with its own.

    Trackio finds a run by its name, so that each has one that no other has: the folder's, and four
    characters. It knows no state of a run: one that has not finished has an alert.
    """

    def __init__(self) -> None:
        self.run: Any = None
        self.goes_on = False

    def begin(self, subject: Subject, earlier: str | None, parent: str | None) -> str:
        """See `Tracker.begin`."""
        config = {**subject.params, **subject.labels}
        if earlier and self._open(earlier, parent, config, "must"):
            self.goes_on = True
            return earlier
        stem = re.sub(r"[^\w.,=+-]+|^\W+", "_", subject.name)
        name = f"{stem[:100]}-{secrets.token_hex(2)}"
        self._open(name, name if subject.holds_others else parent, config, "never")
        return name

    def _open(self, name: str, group: str | None, config: Mapping[str, Any], resume: str) -> bool:
        """Open a run; return whether it is there, where it has to be."""
        import trackio

        with _heard():
            try:
                self.run = trackio.init(
                    PROJECT, name, group=group, config=dict(config), resume=resume, embed=False,
                    auto_log_gpu=False, auto_log_cpu=False,
                )  # fmt: skip
            except ValueError:
                if resume == "must":
                    return False
                raise
            trackio.context_vars.current_run.set(None)  # or it is finished again at the exit
        return True

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """See `Tracker.log`."""
        with _heard():
            self.run.log(dict(values), step)
        self._check()

    def end(self, state: State, result: Result) -> None:
        """See `Tracker.end`."""
        import trackio

        with _heard():
            pictures = {path.stem: trackio.Image(path) for path in result.pictures}
            if result.metrics or pictures:
                self.run.log({**result.metrics, **pictures})
            self._log_files([*result.model, *result.tables], "model" if result.model else "tables")
            if state != "finished" or self.goes_on:
                levels = {"finished": "info", "stopped": "warn", "failed": "error"}
                self.run.alert(state, result.reason, trackio.AlertLevel(levels[state]))
            self.run.finish()
        self._check()

    def _log_files(self, paths: Sequence[Path], kind: str) -> None:
        import trackio

        artifact = trackio.Artifact(self.run.name, kind)
        for path in paths:
            artifact.add_file(path)
        if paths:
            self.run.log_artifact(artifact)

    def _check(self) -> None:
        """Raise what Trackio only warns of, from a thread of its own."""
        if failures := getattr(self.run, "_warned_failures", None):
            raise KmixerError(f"cannot write: {', '.join(sorted(failures))}")


@contextmanager
def _heard() -> Iterator[None]:
    """Keep its notices off stdout, and raise what it warns of: it goes on without its data."""
    with warnings.catch_warnings(record=True) as caught, redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", category=UserWarning, message=".*[tT]rackio")
        yield
    if caught:
        raise KmixerError(one_line(caught[0].message))
