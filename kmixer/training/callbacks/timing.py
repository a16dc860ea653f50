"""The callback that times epochs, for the benchmark."""

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
