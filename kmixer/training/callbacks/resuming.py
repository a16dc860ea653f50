"""What ReduceLROnPlateau and EarlyStopping count from epoch to epoch."""

import keras

from .. import checkpoint

# Their other attributes are settings, and Keras changes the sign of `min_delta` in place.
COUNTERS = ("best", "wait", "cooldown_counter", "stopped_epoch", "best_epoch")


def counters_of(callback):
    """Return a callback's counters, JSON-able."""
    values = vars(callback)
    return {key: values[key] for key in COUNTERS if isinstance(values.get(key), int | float)}


def restore_counters(callback, counters):
    """Put counters back into a callback."""
    vars(callback).update({key: counters[key] for key in COUNTERS if key in counters})


class FromStep(keras.callbacks.CallbackList):
    """Callbacks that count an epoch's steps from its beginning, wherever in it `fit` begins.

    Args:
        callbacks: a list.
        first: the first step, counted from 0.
        options: as of Keras' `CallbackList`.
    """

    def __init__(self, callbacks, first, **options):
        super().__init__(callbacks, add_history=True, **options)
        self._first = first

    def on_train_batch_begin(self, batch, logs=None):
        super().on_train_batch_begin(batch + self._first, logs)

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch + self._first, logs)


class Restore(keras.callbacks.Callback):
    """Put back what the other callbacks zero when a training and an epoch begin.

    Args:
        counting: the callbacks that count.
        place: the `Place` that the training goes on from.
        arrays: what `checkpoint.load` returned beside it.
    """

    def __init__(self, counting, place, arrays):
        super().__init__()
        self.counting, self.counters = counting, place.counters
        self.arrays = arrays if place.step else None

    def on_train_begin(self, logs=None):
        for callback in self.counting:
            restore_counters(callback, self.counters.get(type(callback).__name__, {}))

    def on_epoch_begin(self, epoch, logs=None):
        if self.arrays is not None:
            checkpoint.restore_within(self.model, self.arrays)
        self.arrays = None
