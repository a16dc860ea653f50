"""The callbacks that time epochs and steps."""

from __future__ import annotations

import time
from typing import Any

import keras


class EpochClock(keras.callbacks.Callback):
    """Note the time when each epoch begins, and at the end.

    Attributes:
        times: of `time.perf_counter()`, in seconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.times.append(time.perf_counter())

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.times.append(time.perf_counter())


class StepClock(keras.callbacks.Callback):
    """Note how long each step takes but the first of an epoch, which waits for the data.

    Attributes:
        seconds: of each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._ended: float | None = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._ended = None

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if logs:
            float(logs["loss"])  # the backend may still be computing it
        now = time.perf_counter()
        if self._ended is not None:
            self.seconds.append(now - self._ended)
        self._ended = now
