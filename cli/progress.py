"""The display of a training: a live bar on a terminal, one line an epoch, a closing table."""

import time
from contextlib import ExitStack

import keras
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from .terminal import percent

REFRESH_SECONDS = 0.2


class MeasuringProgress(keras.callbacks.Callback):
    """Show how far a model is with the images of a split.

    Args:
        terminal: the `Terminal`.
    """

    def __init__(self, terminal):
        super().__init__()
        self.terminal, self.bar = terminal, ExitStack()

    def on_predict_begin(self, logs=None):
        self.tell = self.bar.enter_context(self.terminal.bar("measuring"))

    def on_predict_batch_end(self, batch, logs=None):
        self.tell(batch + 1, self.params["steps"])

    def on_predict_end(self, logs=None):
        self.close()

    def close(self):
        """Take the bar off the terminal."""
        self.bar.close()


class TrainingProgress(MeasuringProgress):
    """Show epoch, step, loss, accuracy, examples/s and time left.

    Args:
        terminal: the `Terminal`.
    """

    def __init__(self, terminal):
        super().__init__(terminal)
        self.run, self.live = None, None
        self.live_wanted = terminal.console.is_terminal and not terminal.quiet

    def announce(self, run, dataset, model, place):
        """Print what is about to be trained, on what, and where it goes."""
        self.run = run
        training, say = run.settings.training, self.terminal.say
        sizes = " / ".join(f"{len(split):,} {name}" for name, split in dataset.splits.items())
        shape = "×".join(str(side) for side in dataset.image_shape)
        say(f"data     {dataset.name}: {sizes}, {shape}, {len(dataset.class_names)} classes")
        for note in dataset.notes:
            say(f"         {note}")
        say(f"model    {model.name}: {model.count_params():,} parameters")
        versions = run.info["versions"]
        jit = "jit" if training.jit else "no jit"
        say(
            f"backend  {training.backend} {versions.get(training.backend, '')} under Keras"
            f" {versions['keras']}, {training.precision}, {jit}, {run.info['device']}"
        )
        say(f"run      {run.folder}")
        if place.note:
            say(f"         {place.note}")
        if place.step or place.epoch:
            say(f"resumed  in epoch {place.epoch + 1}, after {place.step} steps of it")

    def on_train_begin(self, logs=None):
        self.steps, self.epochs = self.params["steps"], self.params["epochs"]
        self.batch = self.run.settings.data.batch_size
        self.began, self.steps_done = time.perf_counter(), 0
        if self.live_wanted:
            self.live = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                TextColumn("{task.fields[figures]}"),
                console=self.terminal.console, transient=True, auto_refresh=False,
            )  # fmt: skip
            self.live.start()
            self.task = self.live.add_task("compiling", total=self.steps, figures="")

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.epoch_began, self.shown = epoch, time.perf_counter(), 0.0
        self.steps_before = self.steps_done
        if self.live:
            self.live.reset(self.task, description=f"epoch {epoch + 1}/{self.epochs}")

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        self.steps_done += self.run.settings.training.steps_per_execution
        if self.live and now - self.shown > REFRESH_SECONDS:
            self.shown = now
            self.live.update(
                self.task, completed=batch + 1, figures=self._figures(batch, logs, now)
            )
            self.live.refresh()

    def _figures(self, batch, logs, now):
        steps = self.steps_done - self.steps_before
        rate = steps * self.batch / (now - self.epoch_began)
        left = (self.epochs - self.epoch) * self.steps - batch - 1
        seconds = left * (now - self.began) / self.steps_done
        return (
            f"loss {float(logs['loss']):.4f}  accuracy {percent(float(logs['accuracy']))}"
            f"  {rate:,.0f} examples/s  {_clock(seconds)} left"
        )

    def on_epoch_end(self, epoch, logs=None):
        row = self.run.history[-1]
        self.terminal.say(
            f"epoch {epoch + 1:>{len(str(self.epochs))}}/{self.epochs}"
            f"  loss {row['loss']:.4f}  accuracy {percent(row['accuracy'])}"
            f"  val_loss {row['val_loss']:.4f}  val_accuracy {percent(row['val_accuracy'])}"
            f"  lr {row['learning_rate']:.2e}  {row['seconds']:.1f} s"
            f"  {row['examples_per_second']:,.0f} examples/s"
        )

    def on_train_end(self, logs=None):
        self.close()

    def close(self):
        """Take the live bar off the terminal."""
        if self.live:
            self.live.stop()
        super().close()

    def summarise(self, run):
        """Print the closing table."""
        metrics = run.metrics
        rows = [
            [name, *(f"{percent(part['accuracy'])} (loss {part['loss']:.4f})"
                     for part in (metrics[key][name] for key in ("best", "last")))]
            for name, measured in metrics["best"].items()
            if measured
        ]  # fmt: skip
        best, last = f"best epoch ({metrics['best_epoch']})", f"last epoch ({metrics['epochs']})"
        self.terminal.table(None, ["accuracy", best, last], rows)
        memory = metrics["peak_memory_bytes"]
        self.terminal.say(
            f"{metrics['seconds']:.1f} s of training,"
            f" {metrics['examples_per_second']:,.0f} examples/s,"
            f" {metrics['parameters']:,} parameters, {metrics['flops'] / 1e6:.2f} MFLOPs"
            + (f", peak memory {memory / 2**30:.2f} GiB" if memory else "")
        )
        self.terminal.say(f"in {run.folder}: model.keras, metrics.json, curves.png, …")


def _clock(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
