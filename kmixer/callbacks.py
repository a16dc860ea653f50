"""Settings → Keras callbacks, and the callback that writes the run folder."""

import math
import time

import keras

from . import checkpoint
from .errors import DivergedError, InterruptedRunError

METRICS = ("loss", "accuracy", "val_loss", "val_accuracy")


class _KnowsEpoch(keras.callbacks.Callback):
    """A callback that knows in its steps which epoch it is in, counted from 0."""

    epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch


class StopOnDivergence(_KnowsEpoch):
    """Raise `DivergedError` in the step whose loss is no finite number."""

    def __init__(self, run):
        super().__init__()
        self.run = run

    def on_train_batch_end(self, batch, logs=None):
        self._check(float(logs["loss"]), f"step {batch + 1}")

    def on_epoch_end(self, epoch, logs=None):
        """Look at the validation loss too: the last step's update shows nowhere else."""
        self._check(float(logs["val_loss"]), "validation")

    def _check(self, loss, where):
        if not math.isfinite(loss):
            kept = (
                f"kept: the weights of epoch {self.epoch}" if self.epoch else "no epoch was whole"
            )
            raise DivergedError(
                f"diverged: the loss is {loss} in epoch {self.epoch + 1}, {where};"
                f" {kept} in {self.run.folder}; try a lower --learning-rate"
            )


class StopOnSignal(_KnowsEpoch):
    """Raise `InterruptedRunError` after the step in which a signal asked to stop."""

    def __init__(self, run, request):
        super().__init__()
        self.run, self.request = run, request

    def on_train_batch_end(self, batch, logs=None):
        if self.request.signal is not None:
            raise InterruptedRunError(
                f"interrupted in epoch {self.epoch + 1}; {self.epoch} whole epochs are saved;"
                f" go on with: kmixer resume {self.run.folder}",
                self.request.signal,
            )


class SeedTorch(_KnowsEpoch):
    """Seed torch's global generator by (seed, epoch, step) before each step.

    Keras' dropout on torch draws from it instead of from a seed state that a checkpoint holds, and
    so does the data loader when it starts.
    """

    def __init__(self, seed):
        super().__init__()
        self.seed = seed

    def on_train_batch_begin(self, batch, logs=None):
        import torch

        torch.manual_seed(hash((self.seed, self.epoch, batch)))


class WriteRun(keras.callbacks.Callback):
    """After each epoch: model.keras if it is the best so far, history.csv, checkpoint.npz.

    Args:
        run: the `Run`.
        model: the classifier itself, without the augmentation in front.
        examples: images trained on per epoch.
        rows: the history of the epochs before this training went on.
        counting: the callbacks whose counters belong in the checkpoint.
        ema: Keras' SwapEMAWeights, or None.
        started: `time.perf_counter()` when the command began.
    """

    def __init__(self, run, model, examples, rows, counting, ema, started):
        super().__init__()
        self.run, self.classifier, self.examples = run, model, examples
        self.rows, self.counting, self.ema = list(rows), counting, ema
        self.started, self.first_step = started, None

    def on_epoch_begin(self, epoch, logs=None):
        self.began, self.trained = time.perf_counter(), None

    def on_train_batch_end(self, batch, logs=None):
        if self.first_step is None:
            self.first_step = time.perf_counter() - self.started

    def on_test_begin(self, logs=None):
        self.trained = self.trained or time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        now = time.perf_counter()
        best_before = max((row["val_accuracy"] for row in self.rows), default=-1.0)
        self.rows.append(self._row(epoch, logs, now))
        every = self.run.settings.data.train_on_validation  # it has no say in which is best
        if every or self.rows[-1]["val_accuracy"] > best_before:
            self._save_model()
        self.run.write_history(self.rows)
        counters = {type(c).__name__: _counters(c) for c in self.counting}
        checkpoint.save(self.run, self.model, self.rows, counters)

    def _row(self, epoch, logs, now):
        return {
            "epoch": epoch + 1,
            "seconds": round(now - self.began, 3),
            "examples_per_second": round(self.examples / (self.trained - self.began), 1),
            "learning_rate": float(
                f"{float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)):.6g}"
            ),
        } | {key: round(float(logs[key]), 6) for key in METRICS}

    def _save_model(self):
        if self.ema:
            self.ema.on_test_begin()
        self.run.save_model(self.classifier)
        if self.ema:
            self.ema.on_test_end()


def _counters(callback):
    """Return the callback's counters: its public numbers."""
    return {
        key: value
        for key, value in vars(callback).items()
        if isinstance(value, int | float) and not key.startswith("_")
    }


class _RestoreCounters(keras.callbacks.Callback):
    """Put counters back after the other callbacks' `on_train_begin` has zeroed them."""

    def __init__(self, counting, counters):
        super().__init__()
        self.counting, self.counters = counting, counters

    def on_train_begin(self, logs=None):
        for callback in self.counting:
            vars(callback).update(self.counters.get(type(callback).__name__, {}))


def build_callbacks(settings, run, request, writer):
    """Build the callbacks of a training in the order in which they must run.

    Args:
        settings: the run's `Settings`.
        run: the `Run`.
        request: the `StopRequest`.
        writer: makes the `WriteRun` of `counting` (callbacks) and `ema` (a callback or None).

    Returns:
        (callbacks, the `WriteRun` among them).
    """
    counting = [*_plateau(settings.plateau), *_early_stopping(settings.training.early_stopping)]
    ema = keras.callbacks.SwapEMAWeights() if settings.optimizer.ema else None
    write = writer(counting=counting, ema=ema)
    guards = [StopOnDivergence(run), StopOnSignal(run, request)]
    if keras.backend.backend() == "torch":
        guards.append(SeedTorch(settings.training.seed))
    return [*guards, *_schedule(settings.schedule), *([ema] if ema else []), *counting,
            write, *_tensorboard(settings.training, run)], write  # fmt: skip


def of_keras(settings):
    """Return Keras' own callbacks that the settings ask for, for one's own `model.fit`."""
    ema = [keras.callbacks.SwapEMAWeights()] if settings.optimizer.ema else []
    return [*_schedule(settings.schedule), *ema, *_plateau(settings.plateau),
            *_early_stopping(settings.training.early_stopping)]  # fmt: skip


def restore_counters(callbacks, counters):
    """Return the callback that gives plateau and early stopping their counters back."""
    return _RestoreCounters([c for c in callbacks if type(c).__name__ in counters], counters)


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
