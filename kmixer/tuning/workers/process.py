"""A trial's process as its parent sees it."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time

from ... import errors
from ...errors import KmixerError
from ...files import atomic
from ...runs.run import load_run
from ...training import checkpoint
from ..trials import FAILED, INFEASIBLE, PRUNED, Outcome, measure

GRACE_SECONDS = 120  # a step of a large model takes a while
STOPPED = "stopped"  # by a signal or for want of time; it can be gone on with


class TrialProcess:
    """A trial that runs; its messages go to a queue as (trial, message), None when it has ended.

    Args:
        trial: the `Trial`.
        job: what `kmixer.tuning.workers.trial` is to do, without the folder.
        root: the search's folder.
        share: the `Share` of the machine that it gets.
        messages: a `queue.Queue`.
        lock: a file descriptor that it is to hold open, or None.
    """

    def __init__(self, trial, job, root, share, messages, lock=None):
        self.trial, self.share, self.folder = trial, share, trial.folder(root)
        self.said, self.heard, self.stopped, self.since = {}, None, None, None
        self.history = _history(self.folder)  # of a trial that is gone on with
        logs = root / "logs"
        atomic.make_folder(logs)
        self.log = logs / f"{self.folder.name}.log"
        path = logs / f"{self.folder.name}.json"
        job = job | {"folder": str(self.folder), "cores": share.cores}
        atomic.write_text(path, json.dumps(job))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "kmixer.tuning.workers.trial", str(path)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=share.environ(), start_new_session=True,
                pass_fds=() if lock is None else (lock,),
            )  # fmt: skip
        self.reader = threading.Thread(target=self._read, args=(messages,), daemon=True)
        self.reader.start()

    def _read(self, messages):
        for line in self.process.stdout:
            try:
                message = json.loads(line)
            except ValueError:  # a library prints
                continue
            if isinstance(message, dict):
                self.said |= message
                messages.put((self, message))
        self.process.wait()
        messages.put((self, None))

    def stop(self, why, heard=None):
        """Ask it to end after the step it is in; its checkpoint stays.

        Args:
            why: `STOPPED`, or `record.PRUNED`.
            heard: the message of the epoch that decided it.
        """
        if self.stopped is None:
            self.heard = heard
            self.stopped, self.since = why, time.monotonic()
            self.process.send_signal(signal.SIGTERM)

    def kill_if_overdue(self):
        """Kill what was asked to end and has not done so."""
        if self.stopped and time.monotonic() - self.since > GRACE_SECONDS:
            self.process.kill()

    def end(self):
        """Wait until it has ended; one that does not is killed."""
        try:
            self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.reader.join(GRACE_SECONDS)
        self.process.stdin.close()

    def outcome(self, objective):
        """Return the `Outcome`; None if it was stopped and can be gone on with."""
        self.end()
        if self.stopped == PRUNED:
            row = self.heard["row"]
            return Outcome(
                PRUNED, f"pruned after epoch {self.heard['epoch']}", row[objective],
                self.heard["epoch"], {}, str(self.folder),
            )  # fmt: skip
        if (self.folder / "metrics.json").is_file():
            return measure(load_run(self.folder), objective, self.folder)
        if self.stopped:
            return None
        if self.said.get("infeasible") and not checkpoint.exists(self.folder):
            shutil.rmtree(self.folder, ignore_errors=True)
            return Outcome(INFEASIBLE, self.said["error"])
        return Outcome(FAILED, self._reason(), folder=str(self.folder))

    def _reason(self):
        if "error" in self.said:
            return self.said["error"]
        log = self.log.read_text(encoding="utf-8", errors="replace")
        return errors.process_failure(self.process.returncode, log)


def _history(folder):
    """Return the rows of a run that was begun; none where nothing whole is there."""
    try:
        return load_run(folder).history
    except KmixerError:
        return []
