"""The epochs of a training, from where its newest checkpoint was to the last one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras

from ..config.fields import chosen
from ..data.batches import close
from . import checkpoint
from .callbacks import build_callbacks
from .callbacks.resuming import CallbacksFromStep
from .callbacks.testing import TestEveryEpoch
from .checkpoint_state import Position
from .distribution import SINGLE_DEVICE, Devices
from .inputs import Inputs
from .optimizer import compile_model

if TYPE_CHECKING:
    from ..data import Dataset
    from ..runs.run import Run
    from ..runs.signals import StopRequest


class TrainingLoop:
    """A training that continues from its newest checkpoint.

    Args:
        run: the `Run`.
        dataset: its `Dataset`.
        model: the classifier.
        steps: batches in an epoch.
        multipliers: of the learning rate, by a weight's path, or None.
        request: the `StopRequest`.
        started: `time.perf_counter()` when the command began.
        devices: the `Devices`.

    Attributes:
        position: the `Position` that it continues from.
        first_step: seconds from the command's beginning to the first step's end, or None.

    Raises:
        RunError: all checkpoints are damaged, missing or of another run.
    """

    def __init__(
        self, run: Run, dataset: Dataset, model: keras.Model, steps: int,
        multipliers: Mapping[str, float] | None, request: StopRequest, started: float,
        devices: Devices = SINGLE_DEVICE,
    ) -> None:  # fmt: skip
        self.run, self.model, self.steps = run, model, steps
        self.request, self.started = request, started
        self.inputs = Inputs(run.settings, dataset, steps, devices)
        self.trained_model = self.inputs.model_to_train(model)
        compile_model(self.trained_model, run.settings, steps, multipliers)
        # TensorFlow traces a step twice if variables are made in it.
        self.trained_model.optimizer.build(self.trained_model.trainable_variables)
        self.position, self._arrays = checkpoint.load(run, self.trained_model, model, steps)
        self.first_step: float | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The history so far."""
        return self.position.rows

    @property
    def _epochs(self) -> int:
        return chosen(self.run.settings.training.epochs)

    def run_to_end(self, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        """Train the epochs that are left.

        Args:
            callbacks: more Keras callbacks.

        Raises:
            InterruptedRunError: a signal ended it; what was trained is saved.
            DivergedError: the loss or a weight is not finite.
        """
        if self.position.step:  # the rest of an epoch, which Keras' `fit` takes for a whole one
            self._fit(callbacks, self.position.epoch + 1)
            self.position, self._arrays = checkpoint.load(
                self.run, self.trained_model, self.model, self.steps
            )
        stopped = any(c.get("stopped_epoch") for c in self.position.counters.values())
        self._fit(callbacks, self.position.epoch if stopped else self._epochs)

    def _fit(self, callbacks: Sequence[keras.callbacks.Callback], epochs: int) -> None:
        """Train up to `epochs` whole epochs."""
        position = self.position
        own_callbacks, write = build_callbacks(
            self.run, self.model, position, self._arrays, self.steps, self.request, self.started
        )
        tests = self.run.settings.training.test_every_epoch
        testing = [TestEveryEpoch(self.inputs)] if tests else []  # first: others read its figures
        all_callbacks = CallbacksFromStep(
            [*testing, *own_callbacks, *callbacks], position.step, model=self.trained_model,
            epochs=self._epochs, steps=self.steps,
        )  # fmt: skip
        batches = self.inputs.training_batches(position.epoch, position.step)
        validation = self.inputs.evaluation_batches("validation")
        try:
            if position.step == self.steps:
                self._validate(validation, all_callbacks)
                return
            self.trained_model.fit(
                batches, validation_data=validation, epochs=epochs, initial_epoch=position.epoch,
                steps_per_epoch=self.steps - position.step,
                shuffle=False,  # the stream is in its planned order already
                callbacks=all_callbacks, verbose=0,
            )  # fmt: skip
        finally:  # an interrupted or diverged run has its curves too
            close(batches)
            self.position = Position(write.rows)
            self.first_step = self.first_step or write.first_step
            if write.rows:
                self._draw_curves()

    def _validate(self, batches: Any, callbacks: CallbacksFromStep) -> None:
        """End an epoch whose steps are all done, as `fit` does."""
        epoch, logs = self.position.epoch, self.position.logs
        callbacks.on_train_begin()
        callbacks.on_epoch_begin(epoch)
        metrics = self.trained_model.evaluate(
            batches, callbacks=callbacks, return_dict=True, verbose=0
        )
        callbacks.on_epoch_end(epoch, logs | {f"val_{key}": v for key, v in metrics.items()})
        callbacks.on_train_end()

    def _draw_curves(self) -> None:
        from ..evaluation import figures  # imports Matplotlib: not before the first step

        figure = figures.curves(self.rows, self.run.info["command"], self.run.settings.soft_labels)
        figures.save(figure, self.run.folder / "curves.png")
