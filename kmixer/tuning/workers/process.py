"""A trial's process, seen from the search that started it."""

from __future__ import annotations

import json
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import errors
from ...errors import KmixerError
from ...files import atomic
from ...files.opened import appending, refuse_links
from ...processes import start_python
from ...runs.run import load_run, run_state
from ...training import checkpoint
from ..trials import FAILED, INFEASIBLE, PRUNED, Outcome, Trial, measure, pruned
from . import trial as trial_module
from .resources import Resources

if TYPE_CHECKING:
    from ...config import Settings

GRACE_SECONDS = 120  # a step of a large model takes a while
STOPPED = "stopped"  # by a signal or because time is up; its training can continue

Message = dict[str, Any]
Messages = queue.Queue[tuple["TrialProcess", Message | None]]


class TrialProcess:
    """The process that trains a trial.

    Its messages go to a queue as (process, message); the message None says that it has ended.

    Args:
        trial: the `Trial`.
        trainings: the folder and the settings of each of its trainings.
        job: the input of `trial.py`, without these.
        root: the search's folder.
        resources: the `Resources` that it gets.
        messages: a `queue.Queue`.
        lock: a file descriptor that it is to hold open, or None.
    """

    def __init__(
        self,
        trial: Trial,
        trainings: Sequence[tuple[Path, Settings]],
        job: dict[str, Any],
        root: Path,
        resources: Resources,
        messages: Messages,
        lock: int | None = None,
    ) -> None:
        self.trial, self.resources = trial, resources
        self.folders = [folder for folder, _ in trainings]
        self.folder = self.folders[0]
        self.last_values: Message = {}  # the newest value of each key of its messages
        self.stop_reason: str | None = None
        self.stop_message: Message | None = None
        self.stopped_at = 0.0
        logs = root / "logs"
        atomic.make_folder(logs, within=root)
        for folder in self.folders:
            refuse_links(folder, within=root)
        self.log = logs / f"{self.folder.name}.log"
        path = logs / f"{self.folder.name}.json"
        job = job | {
            "trainings": [
                {"folder": str(folder), "settings": settings.model_dump(mode="json")}
                for folder, settings in trainings
            ],
            "cores": resources.cores,
        }
        atomic.write_text(path, json.dumps(job), within=root)
        with appending(self.log, within=root) as log:
            self.process = start_python(
                trial_module.__name__, str(path), environment=resources.environ(),
                stdout=subprocess.PIPE, stderr=log, start_new_session=True,
                pass_fds=() if lock is None else (lock,),
            )  # fmt: skip
        self.reader = threading.Thread(target=self._read, args=(messages,), daemon=True)
        self.reader.start()

    def _read(self, messages: Messages) -> None:
        for line in self.process.stdout or ():
            try:
                message = json.loads(line)
            except ValueError:  # a library prints
                continue
            if isinstance(message, dict):
                self.last_values |= message
                messages.put((self, message))
        self.process.wait()
        messages.put((self, None))

    def stop(self, reason: str, message: Message | None = None) -> None:
        """Ask it to end after the current step; its checkpoint stays.

        Args:
            reason: `STOPPED` or `PRUNED`.
            message: of the epoch that decided it.
        """
        if self.stop_reason is None:
            self.stop_reason, self.stop_message = reason, message
            self.stopped_at = time.monotonic()
            self.process.send_signal(signal.SIGTERM)

    def kill_if_overdue(self) -> None:
        """Kill a process that was asked to end and has not done so."""
        if self.stop_reason and time.monotonic() - self.stopped_at > GRACE_SECONDS:
            self.process.kill()

    def close(self) -> None:
        """Wait until it has ended; one that does not is killed."""
        try:
            self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.reader.join(GRACE_SECONDS)
        if self.process.stdin:
            self.process.stdin.close()
        if self.process.stdout and not self.reader.is_alive():  # else closing it waits for the read
            self.process.stdout.close()

    def outcome(self, objective: str) -> Outcome | None:
        """Return the `Outcome`; None if it was stopped and its training can continue."""
        self.close()
        if self.stop_reason == PRUNED and self.stop_message:
            epoch, row = self.stop_message["epoch"], self.stop_message["row"]
            return pruned(epoch, row[objective], self.folder)
        states = [run_state(folder) for folder in self.folders]
        if set(states) == {"finished"}:
            return measure([load_run(folder) for folder in self.folders], objective)
        if self.stop_reason:
            return None
        begun = states[0] == "finished" or checkpoint.exists(self.folder)
        if self.last_values.get("infeasible") and not begun:
            shutil.rmtree(self.folder, ignore_errors=True)
            return Outcome(INFEASIBLE, self.last_values["error"])
        return Outcome(FAILED, self._failure(), folder=str(self.folder))

    def _failure(self) -> str:
        if "error" in self.last_values:
            return self.last_values["error"]
        log = self.log.read_text(encoding="utf-8", errors="replace")
        return errors.process_failure(self.process.returncode, log)


def read_history(folder: Path) -> list[dict[str, float]]:
    """Return the rows of a run that was begun; none where there is no readable run."""
    try:
        return load_run(folder).history
    except KmixerError:
        return []
