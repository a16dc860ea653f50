"""The callback that writes a run folder while it is trained."""

import time

import keras

from ...errors import DivergedError
from .. import checkpoint
from .resuming import counters_of
from .stopping import diverged

METRICS = ("loss", "accuracy", "val_loss", "val_accuracy")


class WriteRun(keras.callbacks.Callback):
    """After each epoch model.keras, if it is the best so far, and history.csv; checkpoints.

    There is a checkpoint when an epoch's last step is done, after its validation, when a signal
    asks for one or for the end, and as often as `training.checkpoint_every` says.

    Args:
        run: the `Run`.
        model: the classifier itself, without the augmentation in front.
        place: the `Place` that the training goes on from.
        steps: in an epoch.
        request: the `StopRequest`.
        counting: the callbacks whose counters belong in the checkpoint.
        averaging: Keras' SwapEMAWeights, where the settings ask for it: a list of it or of nothing.
        started: `time.perf_counter()` when the command began.
    """

    def __init__(self, run, model, place, steps, request, counting, averaging, started):
        super().__init__()
        self.run, self.classifier, self.place = run, model, place
        self.steps, self.request = steps, request
        self.counting, self.averaging = counting, averaging
        self.examples = steps * run.settings.data.batch_size
        self.every = run.settings.training.checkpoint_interval
        self.rows, self.begun = list(place.rows), place.seconds
        self.started, self.first_step = started, None

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.perf_counter() - self.begun
        self.begun = 0.0
        self._saved(self.place.step if epoch == self.place.epoch else 0)

    def _saved(self, step):
        self.saved_step, self.saved_at = step, time.perf_counter()
        self.request.save = False

    def on_train_batch_end(self, batch, logs=None):
        now, step = time.perf_counter(), batch + 1
        if self.first_step is None:
            self.first_step = now - self.started
        asked = self.request.save or self.request.signal is not None
        if (
            asked
            or step == self.steps
            or self.every.due(step - self.saved_step, now - self.saved_at)
        ):
            self._save(step, now - self.began, logs)

    def on_test_begin(self, logs=None):
        self.trained = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        now = time.perf_counter()
        best_before = max((row["val_accuracy"] for row in self.rows), default=-1.0)
        self.rows.append(self._row(epoch, logs, now))
        every = self.run.settings.data.train_on_validation  # it has no say in which is best
        if every or self.rows[-1]["val_accuracy"] > best_before:
            self._save_model()
        self.run.write_history(self.rows)
        self._save(0, 0.0, {})

    def _save(self, step, seconds, logs):
        counters = {type(c).__name__: counters_of(c) for c in self.counting}
        logs = {key: float(value) for key, value in logs.items()}
        place = checkpoint.Place(self.rows, counters, step, seconds, logs)
        try:
            checkpoint.save(self.run, self.model, place)
        except DivergedError as error:
            raise diverged(self.run, str(error), place.epoch, f"step {step}") from None
        self._saved(step)

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
        for callback in self.averaging:  # the averaged weights are what is saved
            callback.on_test_begin()
        self.run.save_model(self.classifier)
        for callback in self.averaging:
            callback.on_test_end()
