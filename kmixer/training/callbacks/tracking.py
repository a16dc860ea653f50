"""The callback that hands each epoch to the trackers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from ...tracking.subjects import run_steps

if TYPE_CHECKING:
    from ...runs.run import Run
    from ...tracking.tracking import Tracking


class TrackEpochs(keras.callbacks.Callback):
    """Record the epochs of history.csv; it comes after `WriteRun`, which writes them.

    Args:
        run: the `Run`.
        tracking: its `Tracking`.
    """

    def __init__(self, run: Run, tracking: Tracking) -> None:
        super().__init__()
        self.run, self.tracking = run, tracking

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.tracking.log(run_steps(self.run))
