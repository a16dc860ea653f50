"""Trainings that a signal interrupts."""

import signal

import keras
import pytest

import kmixer
from kmixer.config import loading
from kmixer.errors import InterruptedRunError
from kmixer.runs.run import load_run

# Whatever a checkpoint has to hold is in use.
HARD = (
    "training.epochs=3", "training.checkpoint_every=2", "model.dropout=0.2",
    "model.stochastic_depth=0.1", "augment.translation=0.2", "optimizer.ema=0.9",
    "schedule.name=exponential", "plateau.patience=1", "training.early_stopping.patience=9",
)  # fmt: skip


def build(tiny, *assignments):
    return loading.build_settings(tiny, *map(loading.parse_assignment, assignments))


class Signal(keras.callbacks.Callback):
    """Send a signal in an epoch, counted from 0: before a step, in validation or at the end."""

    def __init__(self, epoch, moment, name="SIGINT", times=1):
        super().__init__()
        self.at, self.moment, self.name, self.times = epoch, moment, name, times

    def _send(self, moment):
        if (self.epoch, moment) == (self.at, self.moment):
            for _ in range(self.times):
                signal.raise_signal(getattr(signal, self.name))

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        self._send(batch)

    def on_test_batch_begin(self, batch, logs=None):
        self._send("validation")

    def on_epoch_end(self, epoch, logs=None):
        self._send("end")


def cut(settings, folder, watcher):
    """Train until the watcher's signal ends it, and return the run."""
    with pytest.raises(InterruptedRunError, match=r"kmixer resume .*run") as caught:
        kmixer.train(settings, out=folder / "run", callbacks=[watcher], command="kmixer")
    assert caught.value.exit_code == 130
    return load_run(folder / "run")
