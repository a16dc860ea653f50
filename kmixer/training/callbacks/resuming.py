"""Callbacks that resume a training where its checkpoint was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras

from .. import checkpoint

if TYPE_CHECKING:
    from ..checkpoint import SavedArrays
    from ..checkpoint_state import Position

    Logs = dict[str, Any] | None

# Of ReduceLROnPlateau and EarlyStopping. Their other attributes are settings, and Keras changes the
# sign of `min_delta` in place.
COUNTERS = ("best", "wait", "cooldown_counter", "stopped_epoch", "best_epoch")


def counters_of(callback: keras.callbacks.Callback) -> dict[str, int | float]:
    """Return a callback's counters, JSON-able."""
    values = vars(callback)
    return {key: values[key] for key in COUNTERS if isinstance(values.get(key), int | float)}


def restore_counters(
    callback: keras.callbacks.Callback, counters: Mapping[str, int | float]
) -> None:
    """Put counters back into a callback."""
    vars(callback).update({key: counters[key] for key in COUNTERS if key in counters})


class CallbacksFromStep(keras.callbacks.CallbackList):
    """Callbacks that count an epoch's steps from its beginning, wherever in it `fit` begins.

    Args:
        callbacks: a list.
        first_step: counted from 0.
        options: as of Keras' `CallbackList`.
    """

    def __init__(
        self, callbacks: Sequence[keras.callbacks.Callback], first_step: int, **options: Any
    ) -> None:
        # Keras' own displays ask for `verbose`; who passes one wants to see it.
        super().__init__(callbacks, add_history=True, verbose=1, **options)
        self._first_step = first_step

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        super().on_train_batch_begin(batch + self._first_step, logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        super().on_train_batch_end(batch + self._first_step, logs)


class RestorePosition(keras.callbacks.Callback):
    """Put back what the other callbacks zero when a training and an epoch begin.

    Args:
        counting: the callbacks that count.
        position: the `Position` that the training continues from.
        arrays: what `checkpoint.load` returned beside it.
    """

    def __init__(
        self, counting: Sequence[keras.callbacks.Callback], position: Position, arrays: SavedArrays
    ) -> None:
        super().__init__()
        self.counting, self.counters = counting, position.counters
        self.arrays = arrays if position.step else None

    def on_train_begin(self, logs: Logs = None) -> None:
        for callback in self.counting:
            restore_counters(callback, self.counters.get(type(callback).__name__, {}))

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        if self.arrays is not None:
            checkpoint.restore_within_epoch(self.model, self.arrays)
        self.arrays = None
