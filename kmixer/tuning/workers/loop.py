"""Trials that run side by side: begun where a worker is free, heard, ended, recorded."""

import queue
import time

from ...errors import SettingsError
from ..trials import INFEASIBLE, PRUNED, WAIT, Outcome
from .process import STOPPED, TrialProcess

POLL_SECONDS = 0.2
IDLE_SECONDS = 2  # between two questions to an engine that has nothing at the moment
MOST_INFEASIBLE = 200  # points in a row that cannot be trained


class Loop:
    """The trials that run at the moment.

    Args:
        search: the `Search`.
        watch: see `Search.run`.
        request: the `StopRequest`.
        lock: see `Search.run`.
    """

    def __init__(self, search, watch, request, lock):
        self.search, self.watch, self.request, self.lock = search, watch, request, lock
        plan = search.plan
        self.free = list(search.shares)
        self.until = time.monotonic() + plan.budget if plan.budget else None
        self.messages, self.running = queue.Queue(), []
        self.done, self.infeasible, self.again = False, 0, 0.0

    def run(self):
        """Begin and end trials until none is left, the time is up, or a signal came.

        Raises:
            SettingsError: no point of the space can be trained.
        """
        try:
            while True:
                self._heed()
                while self._may_begin() and self._begin():
                    self._heed()
                if self.done and not self.running:
                    return
                self._hear()
        finally:
            for process in self.running:
                process.stop(STOPPED)
            for process in self.running:
                process.end()

    def _heed(self):
        """End what runs if the time is up or a signal came."""
        over = self.until is not None and time.monotonic() > self.until
        if over or self.request.signal is not None:
            self.done = True
            for process in self.running:
                process.stop(STOPPED)

    def _may_begin(self):
        return self.free and not self.done and time.monotonic() >= self.again

    def _begin(self):
        """Begin the next trial; say whether there may be another one at once."""
        trial = self.search.engine.ask()
        self.done = trial is None
        if trial == WAIT:
            self.again = time.monotonic() + IDLE_SECONDS
        if trial in (None, WAIT):
            return False
        problem = self.search.problem(trial)
        if problem:
            self.search.engine.tell(trial, Outcome(INFEASIBLE, problem))
            self._count_infeasible(problem)
            return True
        job = {
            "settings": self.search.trial_settings(trial).model_dump(mode="json"),
            "max_seconds_per_epoch": self.search.plan.max_seconds_per_epoch,
            "command": f"kmixer tune (trial {trial.number} of {self.search.plan.folder.name})",
        }
        share = self.free.pop(0)
        self.running.append(
            TrialProcess(trial, job, self.search.plan.folder, share, self.messages, self.lock)
        )
        self.watch.begun(trial)
        for row in self.running[-1].history:
            self.search.engine.report(trial, int(row["epoch"]), row[self.search.plan.objective])
        return True

    def _count_infeasible(self, problem):
        self.infeasible += 1
        if self.infeasible == MOST_INFEASIBLE:
            raise SettingsError(
                f"search: none of {MOST_INFEASIBLE} points in a row can be trained: {problem}"
            )

    def _hear(self):
        try:
            process, message = self.messages.get(timeout=POLL_SECONDS)
        except queue.Empty:
            for process in self.running:
                process.kill_if_overdue()
            return
        if message is None:
            self._end(process)
        elif "row" in message and not process.stopped:
            epoch, value = message["epoch"], message["row"][self.search.plan.objective]
            poor = self.search.engine.report(process.trial, epoch, value)
            if poor and epoch < message["of"]:
                process.stop(PRUNED, message)
            self.watch.epoch(process.trial, message)

    def _end(self, process):
        self.running.remove(process)
        self.free.append(process.share)
        self.again = 0.0
        engine, trial = self.search.engine, process.trial
        outcome = process.outcome(self.search.plan.objective)
        if outcome is None:
            engine.release(trial)
            return
        engine.tell(trial, outcome)
        if outcome.state == INFEASIBLE:  # its process knows better than this one
            self.done = False
            self._count_infeasible(outcome.reason)
        else:
            self.infeasible = 0
        self.search.tidy()
        self.watch.ended(trial.ended(outcome))
