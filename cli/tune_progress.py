"""The display of a search: a bar with what runs and the best so far, one line a trial."""

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class TuneProgress:
    """Told by a search of its trials.

    Args:
        terminal: the `Terminal`.
        plan: the search's `Plan`.
    """

    def __init__(self, terminal, plan):
        self.terminal, self.plan, self.now = terminal, plan, {}
        self.best, self.live = None, None
        if terminal.console.is_terminal and not terminal.quiet:
            self.live = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                TimeElapsedColumn(), TextColumn("{task.fields[now]}"),
                console=terminal.console, transient=True,
            )  # fmt: skip
            self.task = self.live.add_task("trials", total=plan.most, now="")

    def __enter__(self):
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *error):
        if self.live:
            self.live.stop()

    def known(self, trials):
        """Take note of the trials of a search that is gone on with."""
        from kmixer.tuning.trials import counted, ranked

        ended = [trial for trial in counted(trials) if trial.outcome]
        for trial in ranked(ended, self.plan.objective)[:1]:
            self.best = trial
        if ended:
            self.terminal.say(f"goes on with {len(ended)} trials of {self.plan.folder}")
        if self.live:
            self.live.update(self.task, completed=len(ended))

    def begun(self, trial):
        """A trial begins."""
        self.now[trial.number] = "starting"
        self._show()

    def epoch(self, trial, message):
        """An epoch of a trial has ended."""
        value = message["row"][self.plan.objective]
        self.now[trial.number] = f"{message['epoch']}/{message['of']} {value:.4f}"
        self._show()

    def ended(self, trial):
        """A trial has ended."""
        from kmixer.tuning.trials import ranked

        self.now.pop(trial.number, None)
        either = [each for each in (self.best, trial) if each]
        self.best = next(iter(ranked(either, self.plan.objective)), None)
        self.terminal.say(f"trial {trial.number:>3}  {self._told(trial)}")
        if self.live:
            self.live.advance(self.task)
        self._show()

    def _told(self, trial):
        outcome, values = trial.outcome, describe(trial.values)
        if outcome.state != "finished":
            return f"{outcome.state}: {outcome.reason}  {values}"
        seconds = outcome.metrics["seconds"]
        return f"{self.plan.objective} {outcome.value:.4f}  {seconds:.0f} s  {values}"

    def _show(self):
        if self.live:
            now = "  ".join(f"#{number} {what}" for number, what in self.now.items())
            best = f"best {self.best.outcome.value:.4f}  " if self.best else ""
            self.live.update(self.task, now=best + now)


def describe(values):
    """Return values by path as one line."""
    return " ".join(f"{path}={_short(value)}" for path, value in values.items())


def _short(value):
    return f"{value:.3g}" if isinstance(value, float) else str(value)
