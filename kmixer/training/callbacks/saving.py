"""The callback that writes a run folder while it is trained."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras

from ...errors import DivergedError
from ...runs.consistency import weights_checksum
from ...runs.run import MODEL_FILE, TEST_COLUMNS
from .. import checkpoint
from ..best_epoch import score
from ..checkpoint_state import Position
from .resuming import counters_of
from .stopping import divergence

if TYPE_CHECKING:
    from ...runs.run import Run
    from ...runs.signals import StopRequest

    Logs = dict[str, Any] | None

METRICS = ("loss", "accuracy", "val_loss", "val_accuracy")


class WriteRun(keras.callbacks.Callback):
    """After each epoch model.keras, if it is the best so far, and history.csv; checkpoints.

    There is a checkpoint when an epoch's last step is done, after its validation, when a signal
    asks for one or for the end, and as often as `training.checkpoint_every` says.

    Args:
        run: the `Run`.
        model: the classifier itself, without the augmentation in front.
        position: the `Position` that the training continues from.
        steps: in an epoch.
        request: the `StopRequest`.
        counting: the callbacks whose counters belong in the checkpoint.
        averaging: Keras' SwapEMAWeights, where the settings ask for it: a list of it or of nothing.
        started: `time.perf_counter()` when the command began.

    Attributes:
        rows: the history so far.
        first_step: seconds from the command's beginning to the first step's end, or None.
    """

    def __init__(
        self, run: Run, model: keras.Model, position: Position, steps: int,
        request: StopRequest, counting: Sequence[keras.callbacks.Callback],
        averaging: Sequence[keras.callbacks.Callback], started: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.run, self.classifier, self.position = run, model, position
        self.steps, self.request = steps, request
        self.counting, self.averaging = counting, averaging
        self.examples = steps * run.settings.data.images_per_step
        self.interval = run.settings.training.checkpoint_interval
        self.rows = list(position.rows)
        self.best, self.model_sha256 = position.best, position.model_sha256
        self.seconds_before = position.seconds  # of this epoch, before the training was resumed
        self.started = started
        self.first_step: float | None = None
        self.epoch_began = self.steps_ended = self.saved_at = started
        self.saved_step = 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.epoch_began = time.perf_counter() - self.seconds_before
        self.seconds_before = 0.0
        self._note_saved(self.position.step if epoch == self.position.epoch else 0)

    def _note_saved(self, step: int) -> None:
        self.saved_step, self.saved_at = step, time.perf_counter()
        self.request.save = False

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        now, step = time.perf_counter(), batch + 1
        if self.first_step is None:
            self.first_step = now - self.started
        requested = self.request.save or self.request.signal is not None
        due = self.interval.due(step - self.saved_step, now - self.saved_at)
        if requested or due or step == self.steps:
            self._save_checkpoint(step, now - self.epoch_began, logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        self.steps_ended = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        now = time.perf_counter()
        best_before = max((score(row, self.run.settings) for row in self.rows), default=None)
        self.rows.append(self._row(epoch, logs, now))
        if best_before is None or score(self.rows[-1], self.run.settings) > best_before:
            self._save_model()
        self.run.write_history(self.rows)
        self._save_checkpoint(0, 0.0, {})

    def _save_checkpoint(self, step: int, seconds: float, logs: Mapping[str, Any]) -> None:
        counters = {type(c).__name__: counters_of(c) for c in self.counting}
        numbers = {key: float(value) for key, value in logs.items()}
        position = Position(
            self.rows, counters, step, seconds, numbers, self.best, self.model_sha256
        )
        try:
            checkpoint.save(self.run, self.model, position)
        except DivergedError as error:
            raise divergence(self.run, str(error), position.epoch, f"step {step}") from None
        self._note_saved(step)

    def _row(self, epoch: int, logs: Mapping[str, Any], now: float) -> dict[str, float]:
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        seconds_of_steps = self.steps_ended - self.epoch_began
        return {
            "epoch": epoch + 1,
            "seconds": round(now - self.epoch_began, 3),
            "examples_per_second": round(self.examples / seconds_of_steps, 1),
            "learning_rate": float(f"{rate:.6g}"),
        } | {key: round(float(logs[key]), 6) for key in self._metrics}

    @property
    def _metrics(self) -> tuple[str, ...]:
        tests = self.run.settings.training.test_every_epoch
        return (*METRICS, *TEST_COLUMNS) if tests else METRICS

    def _save_model(self) -> None:
        for callback in self.averaging:  # the averaged weights are what is saved
            callback.on_test_begin()
        self.run.save_model(self.classifier)
        self.best = checkpoint.values_of(self.classifier)
        self.model_sha256 = weights_checksum(self.run.folder / MODEL_FILE)
        for callback in self.averaging:
            callback.on_test_end()
