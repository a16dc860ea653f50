"""Settings → the callbacks of a training."""

import keras

from . import checkpoint
from .counters import restore_counters
from .guards import SeedTorch, StopOnDivergence, StopOnSignal


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


def build_callbacks(run, request, place, arrays, writer):
    """Build the callbacks of a training in the order in which they must run.

    Args:
        run: the `Run`.
        request: the `StopRequest`.
        place: the `Place` that the training goes on from.
        arrays: what `checkpoint.load` returned beside it.
        writer: makes the `WriteRun` of `counting` (callbacks) and `ema` (a callback or None).

    Returns:
        (callbacks, the `WriteRun` among them).
    """
    settings = run.settings
    counting = [*_plateau(settings.plateau), *_early_stopping(settings.training.early_stopping)]
    ema = keras.callbacks.SwapEMAWeights() if settings.optimizer.ema else None
    write = writer(counting=counting, ema=ema)
    seeding = [SeedTorch(settings.training.seed)] if keras.backend.backend() == "torch" else []
    return [
        StopOnDivergence(run), *seeding, *_schedule(settings.schedule), *([ema] if ema else []),
        *counting, write, StopOnSignal(run, request), *_tensorboard(settings.training, run),
        Restore(counting, place, arrays),
    ], write  # fmt: skip


def of_keras(settings):
    """Return Keras' own callbacks that the settings ask for, for one's own `model.fit`."""
    ema = [keras.callbacks.SwapEMAWeights()] if settings.optimizer.ema else []
    return [*_schedule(settings.schedule), *ema, *_plateau(settings.plateau),
            *_early_stopping(settings.training.early_stopping)]  # fmt: skip


def _schedule(schedule):
    if schedule.name != "exponential":
        return []

    def decayed(epoch, rate):  # multiplies, so that ReduceLROnPlateau's cuts stay in effect
        return rate * schedule.gamma if epoch else rate

    return [keras.callbacks.LearningRateScheduler(decayed)]


def _plateau(plateau):
    if plateau is None:
        return []
    mode = "max" if plateau.monitor == "val_accuracy" else "min"
    return [
        keras.callbacks.ReduceLROnPlateau(
            plateau.monitor, plateau.factor, plateau.patience, mode=mode,
            min_lr=plateau.min_learning_rate,
        )
    ]  # fmt: skip


def _early_stopping(stopping):
    if stopping is None:
        return []
    mode = "max" if stopping.monitor == "val_accuracy" else "min"
    return [
        keras.callbacks.EarlyStopping(
            stopping.monitor, stopping.min_delta, stopping.patience, mode=mode
        )
    ]


def _tensorboard(training, run):
    return [keras.callbacks.TensorBoard(run.folder / "tensorboard")] if training.tensorboard else []
