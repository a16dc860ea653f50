"""`MixerHyperModel` under KerasTuner's own tuners."""

import keras_tuner
import pytest

from kmixer.config import loading
from kmixer.tuning import MixerHyperModel

pytestmark = pytest.mark.backends


@pytest.mark.whole
def test_a_tuner_searches_it(tiny, tmp_path):
    section = {"model.blocks": [1, 2], "optimizer.name": ["adam", "sgd"],
               "optimizer.momentum": {"choice": [0.5, 0.9], "when": {"optimizer.name": ["sgd"]}}}  # fmt: skip
    hypermodel = MixerHyperModel(
        loading.build_settings(tiny, {"training": {"epochs": 1}, "search": section})
    )
    tuner = keras_tuner.RandomSearch(
        hypermodel,
        objective="val_accuracy",
        max_trials=2,
        seed=1,
        directory=tmp_path,
    )
    tuner.search(verbose=0)
    best = tuner.get_best_hyperparameters()[0].values
    assert set(best) <= set(section) and best["model.blocks"] in (1, 2)
    model = hypermodel.build(tuner.get_best_hyperparameters()[0])
    names = {layer.name for layer in model.layers}
    assert sum("block" in name for name in names) >= best["model.blocks"]
    scores = [trial.score for trial in tuner.oracle.get_best_trials(2)]
    assert all(0 <= score <= 1 for score in scores)
