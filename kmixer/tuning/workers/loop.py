"""The loop of a search: start a trial where a worker is free, receive messages, record ends."""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING

from ...config.fields import chosen
from ...errors import SettingsError
from ...runs.asked import remember_asked
from ...runs.signals import StopRequest
from ..trial_run import remove_other_run
from ..trials import INFEASIBLE, PRUNED, Outcome, Trial, pruned
from .process import STOPPED, Message, Messages, TrialProcess, read_history

if TYPE_CHECKING:
    from ..search import Search, SearchProgress

POLL_SECONDS = 0.2
IDLE_SECONDS = 2  # between two questions to an engine that has nothing at the moment
MOST_INFEASIBLE = 200  # points in a row that cannot be trained


class Loop:
    """Runs the trials of a search, several at once.

    Args:
        search: the `Search`.
        progress: see `Search.run`.
        request: the `StopRequest`.
        lock: see `Search.run`.
    """

    def __init__(
        self, search: Search, progress: SearchProgress, request: StopRequest, lock: int | None
    ) -> None:
        self.search, self.progress, self.request, self.lock = search, progress, request, lock
        plan = search.plan
        self.free = list(search.resources)
        self.deadline = time.monotonic() + plan.budget if plan.budget else None
        self.messages: Messages = queue.Queue()
        self.running: list[TrialProcess] = []
        self.done, self.infeasible, self.ask_again_at = False, 0, 0.0

    def run(self) -> None:
        """Start and end trials until none is left, the time is up, or a signal came.

        Raises:
            SettingsError: no point of the space can be trained.
        """
        try:
            while True:
                self._check_stop()
                while self._can_start() and self._start():
                    self._check_stop()
                if self.done and not self.running:
                    return
                self._receive()
        finally:
            for process in self.running:
                process.stop(STOPPED)
            for process in self.running:
                process.close()

    def _check_stop(self) -> None:
        """Stop the trials if the time is up or a signal came."""
        over = self.deadline is not None and time.monotonic() > self.deadline
        if over or self.request.signal is not None:
            self.done = True
            for process in self.running:
                process.stop(STOPPED)

    def _can_start(self) -> bool:
        return bool(self.free) and not self.done and time.monotonic() >= self.ask_again_at

    def _start(self) -> bool:
        """Start the next trial; return whether another one may start at once."""
        trial = self.search.engine.ask()
        if trial is None:
            self.done = True
            return False
        if not isinstance(trial, Trial):  # WAIT
            self.ask_again_at = time.monotonic() + IDLE_SECONDS
            return False
        problem = self.search.problem(trial)
        if problem:
            self.search.engine.tell(trial, Outcome(INFEASIBLE, problem))
            self._count_infeasible(problem)
            return True
        self._start_process(trial)
        return True

    def _start_process(self, trial: Trial) -> None:
        plan, settings = self.search.plan, self.search.trial_settings(trial)
        remember_asked(settings)
        trainings = self.search.trainings(trial, settings)
        for folder, own in trainings:
            remove_other_run(folder, own, plan.folder)
        outcome = self._verdict_before(trial, chosen(settings.training.epochs))
        if outcome is not None:
            self.progress.trial_started(trial)
            self._record(trial, outcome)
            return
        job = {
            "max_seconds_per_epoch": plan.max_seconds_per_epoch,
            "command": f"kmixer tune (trial {trial.number} of {plan.folder.name})",
        }
        process = TrialProcess(
            trial, trainings, job, plan.folder, self.free.pop(0), self.messages, self.lock
        )
        self.running.append(process)
        self.progress.trial_started(trial)

    def _verdict_before(self, trial: Trial, epochs: int) -> Outcome | None:
        """Report the epochs of a trial that was begun before; return its outcome if it was pruned.

        Its search was killed before it could record that, or before it heard of the epoch at all.
        """
        objective, folder = self.search.plan.objective, trial.folder(self.search.plan.folder)
        for row in read_history(folder):
            epoch = int(row["epoch"])
            if self.search.engine.report(trial, epoch, row[objective]) and epoch < epochs:
                return pruned(epoch, row[objective], folder)
        return None

    def _count_infeasible(self, problem: str | None) -> None:
        self.infeasible += 1
        if self.infeasible == MOST_INFEASIBLE:
            raise SettingsError(
                f"search: none of {MOST_INFEASIBLE} points in a row can be trained: {problem}"
            )

    def _receive(self) -> None:
        try:
            process, message = self.messages.get(timeout=POLL_SECONDS)
        except queue.Empty:
            for process in self.running:
                process.kill_if_overdue()
            return
        if message is None:
            self._end(process)
        elif "row" in message and process.stop_reason is None:
            self._report(process, message)

    def _report(self, process: TrialProcess, message: Message) -> None:
        epoch, value = message["epoch"], message["row"][self.search.plan.objective]
        first = message["training"] == 1  # of several, it alone is compared with other trials'
        poor = first and self.search.engine.report(process.trial, epoch, value)
        if poor and epoch < message["of"]:
            process.stop(PRUNED, message)
        self.progress.epoch_ended(process.trial, message)

    def _end(self, process: TrialProcess) -> None:
        self.running.remove(process)
        self.free.append(process.resources)
        self.ask_again_at = 0.0
        outcome = process.outcome(self.search.plan.objective)
        if outcome is None:
            self.search.engine.release(process.trial)
        else:
            self._record(process.trial, outcome)

    def _record(self, trial: Trial, outcome: Outcome) -> None:
        self.search.engine.tell(trial, outcome)
        if outcome.state == INFEASIBLE:  # its process found what this one did not
            self.done = False
            self._count_infeasible(outcome.reason)
        else:
            self.infeasible = 0
        self.search.remove_weights()
        self.progress.trial_ended(trial.ended(outcome))
