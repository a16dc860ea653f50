"""The Keras callback of a trial: it sends each epoch's row and ends a trial that is too slow."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras

from ...errors import KmixerError
from ...runs.run import Run

WARMUP_STEPS = 3  # of an epoch, not timed: the first ones compile
LEAST_SECONDS = 5.0  # of measuring before a trial is called too slow


class TrialWatcher(keras.callbacks.Callback):
    """Sends each epoch's row, and ends a trial that trains more slowly than is allowed.

    Args:
        send: called with each message's values.
        max_seconds_per_epoch: that the trial may take, or None.
    """

    def __init__(self, send: Callable[..., None], max_seconds_per_epoch: float | None) -> None:
        super().__init__()
        self.send, self.max_seconds = send, max_seconds_per_epoch
        self.run: Run | None = None
        self.step = 0
        self.timed_from = 0.0

    def note_run(self, run: Run, *details: Any) -> None:
        """Note the run that begins; see `on_start` of `kmixer.train`."""
        self.run = run
        self.step = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.step = min(self.step, WARMUP_STEPS - 1)  # time the steps, not the validation

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.step += 1
        if self.step == WARMUP_STEPS:
            self.timed_from = time.perf_counter()
        elif self.max_seconds and self.step > WARMUP_STEPS:
            self._check_speed(self.max_seconds)

    def _check_speed(self, max_seconds: float) -> None:
        seconds = time.perf_counter() - self.timed_from
        epoch_seconds = seconds / (self.step - WARMUP_STEPS) * self.params["steps"]
        if epoch_seconds > max_seconds and seconds > min(LEAST_SECONDS, max_seconds):
            raise KmixerError(
                f"too slow: {epoch_seconds:.1f} s an epoch, more than the {max_seconds:g} s of"
                " --max-seconds-per-epoch"
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.run is not None:
            self.send(epoch=epoch + 1, of=self.params["epochs"], row=self.run.history[-1])
