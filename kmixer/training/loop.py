"""The epochs of a training, from where its newest checkpoint was to the last one."""

from ..data.batches import close
from ..evaluation import figures
from . import checkpoint, distribution
from .callbacks import build_callbacks
from .callbacks.resuming import FromStep
from .inputs import streams, with_images
from .optimizer import compile_model


class Fitting:
    """A training that goes on from its newest checkpoint.

    Args:
        run: the `Run`.
        dataset: its `Dataset`.
        model: the classifier.
        steps: batches in an epoch.
        shares: of the learning rate, by a weight's path, or None.
        request: the `StopRequest`.
        started: `time.perf_counter()` when the command began.
        devices: the `Devices`.

    Raises:
        RunError: all the checkpoints that there are, are damaged.
    """

    def __init__(self, run, dataset, model, steps, shares, request, started,
                 devices=distribution.ALONE):  # fmt: skip
        self.run, self.dataset, self.model, self.steps = run, dataset, model, steps
        self.request, self.started, self.devices = request, started, devices
        self.trained = with_images(run.settings, dataset, model)
        compile_model(self.trained, run.settings, steps, shares)
        self.place, self._arrays = checkpoint.load(run, self.trained)
        self.first_step = None

    @property
    def rows(self):
        """The history so far."""
        return self.place.rows

    def run_to_the_end(self, watchers):
        """Train the epochs that are left.

        Args:
            watchers: more Keras callbacks.

        Raises:
            InterruptedRunError: a signal ended it; what was trained is saved.
            DivergedError: the loss or a weight is no finite number.
        """
        if self.place.step:  # the rest of an epoch, which Keras' `fit` takes for a whole one
            self._fit(watchers, self.place.epoch + 1)
            self.place, self._arrays = checkpoint.load(self.run, self.trained)
        stopped = self.place.counters.get("EarlyStopping", {}).get("stopped_epoch")
        self._fit(watchers, self.place.epoch if stopped else self.run.settings.training.epochs)

    def _fit(self, watchers, epochs):
        """Train up to an epoch, the number of those before it."""
        place, settings = self.place, self.run.settings
        chosen, write = build_callbacks(
            self.run, self.model, place, self._arrays, self.steps, self.request, self.started
        )
        listening = FromStep(
            [*chosen, *watchers], place.step, model=self.trained,
            epochs=settings.training.epochs, steps=self.steps,
        )  # fmt: skip
        batches, held_out = streams(
            settings, self.dataset, self.steps, place.epoch, place.step, self.devices
        )
        try:
            if place.step == self.steps:
                self._validate(held_out, listening)
                return
            self.trained.fit(
                batches, validation_data=held_out, epochs=epochs, initial_epoch=place.epoch,
                steps_per_epoch=self.steps - place.step,
                shuffle=False,  # the stream is in its planned order already
                callbacks=listening, verbose=0,
            )  # fmt: skip
        finally:  # an interrupted or diverged run has its picture too
            close(batches)
            self.place = checkpoint.Place(write.rows)
            self.first_step = self.first_step or write.first_step
            if write.rows:
                self._draw()

    def _validate(self, held_out, listening):
        """End an epoch whose steps are all done, as `fit` does."""
        epoch = self.place.epoch
        listening.on_train_begin()
        listening.on_epoch_begin(epoch)
        measured = self.trained.evaluate(held_out, callbacks=listening, return_dict=True, verbose=0)
        measured = {f"val_{name}": value for name, value in measured.items()}
        listening.on_epoch_end(epoch, self.place.logs | measured)
        listening.on_train_end()

    def _draw(self):
        figure = figures.curves(self.rows, self.run.info["command"], self.run.settings.soft_labels)
        figures.save(figure, self.run.folder / "curves.png")
