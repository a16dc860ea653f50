"""The display of a search: a bar with the running trials and the best so far, one line a trial."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .terminal import Terminal

if TYPE_CHECKING:
    from kmixer.tuning.plan import Plan
    from kmixer.tuning.trials import Trial


class TuneProgress:
    """Shows the trials of a search; see `kmixer.tuning.search.SearchProgress`.

    Args:
        terminal: the `Terminal`.
        plan: the search's `Plan`.
    """

    def __init__(self, terminal: Terminal, plan: "Plan") -> None:
        self.terminal, self.plan = terminal, plan
        self.running: dict[int, str] = {}  # the newest epoch of each running trial
        self.best: Trial | None = None
        self.bar: Progress | None = None
        if terminal.moves and not terminal.quiet:
            self.bar = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                TimeElapsedColumn(), TextColumn("{task.fields[now]}"),
                console=terminal.console, transient=True,
            )  # fmt: skip
            self.task = self.bar.add_task("trials", total=plan.trial_limit, now="")

    def __enter__(self) -> Self:
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar:
            self.bar.stop()

    def resumed(self, trials: list["Trial"]) -> None:
        """Show the trials that the search has already."""
        from kmixer.tuning.trials import counted, ranked

        ended = [trial for trial in counted(trials) if trial.outcome]
        self.best = next(iter(ranked(ended, self.plan.objective)), None)
        if ended:
            self.terminal.say(f"goes on with {len(ended)} trials of {self.plan.folder}")
        if self.bar:
            self.bar.update(self.task, completed=len(ended))

    def trial_started(self, trial: "Trial") -> None:
        """Show that a trial has started."""
        self.running[trial.number] = "starting"
        self._show()

    def epoch_ended(self, trial: "Trial", message: dict[str, Any]) -> None:
        """Show an epoch of a trial."""
        from kmixer.tuning.trials import shown

        value = shown(self.plan.objective, message["row"][self.plan.objective])
        several = f"{message['training']}/{message['trainings']}: "
        self.running[trial.number] = (
            several * (message["trainings"] > 1) + f"{message['epoch']}/{message['of']} {value}"
        )
        self._show()

    def trial_ended(self, trial: "Trial") -> None:
        """Show a trial with its outcome."""
        from kmixer.tuning.trials import ranked

        self.running.pop(trial.number, None)
        candidates = [candidate for candidate in (self.best, trial) if candidate]
        self.best = next(iter(ranked(candidates, self.plan.objective)), None)
        self.terminal.say(f"trial {trial.number:>3}  {self._summary(trial)}")
        if self.bar:
            self.bar.advance(self.task)
        self._show()

    def _summary(self, trial: "Trial") -> str:
        values = describe(trial.values)
        if trial.state != "finished":
            reason = trial.outcome.reason if trial.outcome else None
            return f"{trial.state}: {reason}  {values}"
        objective, seconds = self.plan.objective, trial.metrics["seconds"]
        return f"{objective} {shown_score(trial, objective)}  {seconds:.0f} s  {values}"

    def _show(self) -> None:
        if self.bar:
            epochs = "  ".join(f"#{number} {epoch}" for number, epoch in self.running.items())
            best = f"best {shown_score(self.best, self.plan.objective)}  " if self.best else ""
            self.bar.update(self.task, now=best + epochs)


def shown_score(trial: "Trial", objective: str) -> str:
    """Return the objective of a finished trial, ± the standard deviation of its trainings."""
    from kmixer.tuning.trials import shown

    return shown(objective, trial.score, trial.metrics.get("objective_std"))


def describe(values: Mapping[str, Any]) -> str:
    """Return values by path as one line."""
    return " ".join(f"{path}={_short(value)}" for path, value in values.items())


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
