"""The display of a training: a live bar on a terminal, one line an epoch, a closing table."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import keras
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from kmixer.data.stratified import absent_classes
from kmixer.errors import few
from kmixer.training.callbacks import printing

from .terminal import Terminal, percent

if TYPE_CHECKING:
    from kmixer.data import Dataset
    from kmixer.runs.run import Run
    from kmixer.training.checkpoint_state import Position

    Logs = dict[str, Any] | None

REFRESH_SECONDS = 0.2


class MeasuringProgress(keras.callbacks.Callback):
    """Show how far a model is with the images of a split.

    Args:
        terminal: the `Terminal`.
    """

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self.terminal, self.bar = terminal, ExitStack()

    def on_predict_begin(self, logs: Logs = None) -> None:
        self.show_count = self.bar.enter_context(self.terminal.bar("measuring"))

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        self.show_count(batch + 1, self.params["steps"])

    def on_predict_end(self, logs: Logs = None) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar off the terminal."""
        self.bar.close()


class TrainingProgress(MeasuringProgress):
    """Show epoch, step, loss, accuracy, examples/s and time left.

    Args:
        terminal: the `Terminal`.
    """

    run: Run  # set by `show_start`, before the training begins

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(terminal)
        self.live: Progress | None = None
        self.absent: dict[str, list[str]] = {}  # by split, the classes without images in it
        self.live_wanted = terminal.moves and not terminal.quiet

    def show_start(
        self, run: Run, dataset: Dataset, model: keras.Model, position: Position
    ) -> None:
        """Print data, model, backend and run folder; see `on_start` of `kmixer.train`."""
        self.run = run
        self.absent = {
            name: absent_classes(split.labels, dataset.class_names)
            for name, split in dataset.splits.items()
        }
        for line in printing.start_lines(run, dataset, model, position):
            self.terminal.say(line)

    def on_train_begin(self, logs: Logs = None) -> None:
        self.steps, self.epochs = self.params["steps"], self.params["epochs"]
        self.batch = self.run.settings.data.images_per_step
        self.steps_done = self.untimed = 0
        if self.live_wanted:
            self.live = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                TextColumn("{task.fields[metrics]}"),
                console=self.terminal.console, transient=True, auto_refresh=False,
            )  # fmt: skip
            self.live.start()
            self.task = self.live.add_task("compiling", total=self.steps, metrics="")
            self.live.refresh()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.epoch, self.epoch_began, self.shown = epoch, time.perf_counter(), 0.0
        self.steps_before = self.steps_done
        if self.live and self.steps_done:
            self.live.reset(self.task, description=self._title)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        now = time.perf_counter()
        first = not self.steps_done
        self.steps_done += self.run.settings.training.steps_per_execution
        if first:  # it compiled: the clock starts after it
            self.began = self.epoch_began = now
            self.untimed = self.steps_before = self.steps_done
        if self.live and now - self.shown > REFRESH_SECONDS:
            self.shown = now
            metrics = self._metrics(batch, logs, now)
            self.live.update(
                self.task, completed=batch + 1, description=self._title, metrics=metrics
            )
            self.live.refresh()

    @property
    def _title(self) -> str:
        return f"epoch {self.epoch + 1}/{self.epochs}"

    def _metrics(self, batch: int, logs: Any, now: float) -> str:
        text = f"loss {float(logs['loss']):.4f}  accuracy {percent(float(logs['accuracy']))}"
        timed, in_epoch = self.steps_done - self.untimed, self.steps_done - self.steps_before
        if not timed or not in_epoch:
            return text
        rate = in_epoch * self.batch / (now - self.epoch_began)
        left = (self.epochs - self.epoch) * self.steps - batch - 1
        seconds = left * (now - self.began) / timed
        return f"{text}  {rate:,.0f} examples/s  {_clock(seconds)} left"

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        for line in printing.epoch_lines(self.run, self.epochs):
            self.terminal.say(line)

    def on_train_end(self, logs: Logs = None) -> None:
        self.close()

    def close(self) -> None:
        """Take the live bar off the terminal."""
        if self.live:
            self.live.stop()
        super().close()

    def show_summary(self, run: Run) -> None:
        """Print the closing table."""
        metrics = run.metrics
        rows = [
            [name, *(f"{percent(part['accuracy'])} (loss {part['loss']:.4f})"
                     for part in (metrics[key][name] for key in ("best", "last")))]
            for name, values in metrics["best"].items()
            if values
        ]  # fmt: skip
        best, last = f"best epoch ({metrics['best_epoch']})", f"last epoch ({metrics['epochs']})"
        self.terminal.table(None, ["accuracy", best, last], rows)
        for line in printing.best_on_test_lines(metrics):
            self.terminal.say(line)
        split = "test" if metrics["best"]["test"] else "validation"
        absent = few([repr(name) for name in self.absent.get(split, [])])
        scores = metrics["best"][split]
        if scores["balanced_accuracy"] is not None:  # a run of an older version has none
            self.terminal.say(
                f"every class{f' with {split} images (not {absent})' * bool(absent)} counting the"
                f" same, best epoch: balanced accuracy"
                f" {percent(scores['balanced_accuracy'])}, macro F1 {percent(scores['macro_f1'])}"
            )
        if metrics.get("temperature"):
            self.terminal.say(
                f"calibrated on validation by the temperature {metrics['temperature']:.3f}:"
                f" calibration error of {split} {percent(scores['calibration_error'])}"
            )
        memory = metrics["peak_memory_bytes"]
        self.terminal.say(
            f"{metrics['seconds']:.1f} s of training,"
            f" {metrics['examples_per_second']:,.0f} examples/s,"
            f" {metrics['parameters']:,} parameters, {metrics['flops'] / 1e6:.2f} MFLOPs"
            + (f", peak memory {memory / 2**30:.2f} GiB" if memory else "")
        )
        self.terminal.say(f"in {run.folder}: model.keras, metrics.json, curves.png, …")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
