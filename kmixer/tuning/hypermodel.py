"""The search space as an ordinary KerasTuner hypermodel, for one's own tuner in Python."""

import keras
import keras_tuner

from ..data import load_splits
from ..data.batches import close
from ..training.callbacks import keras_callbacks
from ..training.inputs import streams, with_images
from ..training.optimizer import compile_model
from ..training.resolve import resolve
from ..training.train import check_model, steps_per_epoch
from .engines.keras_tuner_space import hyperparameters
from .space.space import Space, with_default


class MixerHyperModel(keras_tuner.HyperModel):
    """Builds and fits the models that a search space describes.

        model = MixerHyperModel(settings)
        tuner = keras_tuner.RandomSearch(model, objective="val_accuracy", max_trials=10)
        tuner.search()

    Args:
        settings: the base `Settings`; their section `search` is the space, else kmixer's own.

    Raises:
        KmixerError: the space or the data do not allow it.
    """

    def __init__(self, settings):
        super().__init__()
        settings = settings if settings.search else with_default(settings)
        self.space = Space(settings.search)
        self.settings = settings.model_copy(update={"search": None})
        self.space.check(self.settings)
        self.dataset = load_splits(settings.data)

    def build(self, hp):
        """Return the compiled model of a point.

        Raises:
            keras_tuner.errors.FailedTrialError: it cannot be built on these images.
        """
        hp.merge(hyperparameters(self.space))
        settings = self._settings(hp)
        keras.utils.set_random_seed(settings.training.seed)
        model = check_model(settings, self.dataset)
        steps = steps_per_epoch(settings, self.dataset)
        trained = with_images(settings, self.dataset, model)
        compile_model(trained, settings, steps)
        return trained

    def fit(self, hp, model, *args, epochs=None, callbacks=(), **options):
        """Train it as `kmixer train` does, on the train split; the rest goes to `model.fit`."""
        settings = self._settings(hp)
        steps = steps_per_epoch(settings, self.dataset)
        batches, held_out = streams(settings, self.dataset, steps)
        try:
            return model.fit(
                batches, *args, validation_data=held_out, steps_per_epoch=steps, shuffle=False,
                epochs=epochs or settings.training.epochs,
                callbacks=[*keras_callbacks(settings), *callbacks], **options,
            )  # fmt: skip
        finally:
            close(batches)

    def _settings(self, hp):
        values = self.space.draw(lambda each: each.parameter.decode(hp.values[each.name]))
        return resolve(self.space.settings(self.settings, values), self.dataset)
