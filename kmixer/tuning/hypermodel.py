"""The search space as an ordinary KerasTuner hypermodel, for one's own tuner in Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import keras_tuner

from ..config import Settings
from ..data.batches import close
from ..training.callbacks import keras_callbacks
from ..training.fastest_precision import choose_precision
from ..training.initial_model import check_model, initial_model, steps_per_epoch
from ..training.inputs import Inputs
from ..training.optimizer import compile_model
from ..training.resolve import resolve
from .datasets import SearchDatasets
from .engines.keras_tuner_space import hyperparameters
from .space.space import Space, with_default
from .space.validity import check_some_point_fits


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

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        settings = settings if settings.search else with_default(settings)
        self.space = Space(settings.search or {})
        self.settings = settings.changed(search=None)
        self.space.check(self.settings)
        datasets = SearchDatasets(settings.data)
        check_some_point_fits(self.space, self.settings, datasets.check_fit)
        self.dataset = datasets.base

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Return the compiled model of a point.

        Raises:
            SettingsError: it cannot be built on these images.
        """
        hp.merge(hyperparameters(self.space))
        settings = self._settings(hp)
        keras.utils.set_random_seed(settings.training.seed)
        _, weights = check_model(settings, self.dataset)
        model = initial_model(settings, self.dataset, weights)
        steps = steps_per_epoch(settings, self.dataset)
        trained_model = Inputs(settings, self.dataset, steps).model_to_train(model)
        compile_model(trained_model, settings, steps)
        return trained_model

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        *args: Any,
        epochs: int | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        **options: Any,
    ) -> Any:
        """Train it as `kmixer train` does, on the train split; the rest goes to `model.fit`."""
        settings = self._settings(hp)
        steps = steps_per_epoch(settings, self.dataset)
        inputs = Inputs(settings, self.dataset, steps)
        batches, validation = inputs.training_batches(), inputs.evaluation_batches("validation")
        try:
            return model.fit(
                batches, *args, validation_data=validation, steps_per_epoch=steps, shuffle=False,
                epochs=epochs or settings.training.epochs,
                callbacks=[*keras_callbacks(settings), *callbacks], **options,
            )  # fmt: skip
        finally:
            close(batches)

    def _settings(self, hp: keras_tuner.HyperParameters) -> Settings:
        values = self.space.decode(hp.values)
        settings = resolve(self.space.settings(self.settings, values), self.dataset)
        return choose_precision(settings, self.dataset)[0]
