"""The callbacks of a training, built from its settings."""

import keras

from .resuming import Restore
from .saving import WriteRun
from .stopping import SeedTorch, StopOnDivergence, StopOnSignal

COUNTING = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.EarlyStopping)


def build_callbacks(run, classifier, place, arrays, steps, request, started):
    """Build the callbacks of a training in the order in which they must run.

    Args:
        run: the `Run`.
        classifier: the model that is saved, without the augmentation in front.
        place: the `Place` that the training goes on from.
        arrays: what `checkpoint.load` returned beside it.
        steps: batches in an epoch.
        request: the `StopRequest`.
        started: `time.perf_counter()` when the command began.

    Returns:
        (callbacks, the `WriteRun` among them).
    """
    training, chosen = run.settings.training, keras_callbacks(run.settings)
    counting = [callback for callback in chosen if isinstance(callback, COUNTING)]
    averaging = [c for c in chosen if isinstance(c, keras.callbacks.SwapEMAWeights)]
    write = WriteRun(run, classifier, place, steps, request, counting, averaging, started)
    seeding = [SeedTorch(training.seed)] if keras.backend.backend() == "torch" else []
    return [
        StopOnDivergence(run), *seeding, *chosen, write, StopOnSignal(run, request),
        *_tensorboard(training, run), Restore(counting, place, arrays),
    ], write  # fmt: skip


def keras_callbacks(settings):
    """Return Keras' own callbacks that the settings ask for; they suit any `model.fit`."""
    averaging = [keras.callbacks.SwapEMAWeights()] if settings.optimizer.ema else []
    return [*_schedule(settings.schedule), *averaging, *_plateau(settings.plateau),
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
