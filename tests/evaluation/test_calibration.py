"""Temperature scaling: what it finds, that it changes no class, and that every file has it."""

import json

import keras
import numpy as np
import pytest

import kmixer
from interrupted_training import build
from kmixer.evaluation.calibration import LEAST, MOST, best_temperature, divide_logits
from kmixer.evaluation.predictions import Predictions
from kmixer.models import Mlp
from tiny_settings import tiny_settings


def too_sure(times, images=4000, classes=5):
    """Predictions of a model that is calibrated but for its logits being so many times too large."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 1.5, (images, classes))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([generator.choice(classes, p=row) for row in probabilities])
    return Predictions(probabilities, labels).scaled(1 / times)


@pytest.mark.parametrize("times", [0.4, 1.0, 3.0])
def test_the_temperature_takes_back_what_the_logits_are_too_large_by(times):
    predictions = too_sure(times)
    assert best_temperature(predictions) == pytest.approx(times, rel=0.05)
    calibrated = predictions.scaled(best_temperature(predictions))
    assert calibrated.calibration_error < 0.02
    assert calibrated.loss <= predictions.loss
    assert np.array_equal(calibrated.predicted, predictions.predicted)


def test_scaling_by_hand():
    """Logits of log 4 and log 1, halved: log 2 and log 1, so 2 to 1."""
    scaled = Predictions(np.array([[0.8, 0.2]]), np.array([0])).scaled(2)
    assert scaled.probabilities[0] == pytest.approx([2 / 3, 1 / 3])


@pytest.mark.parametrize("right", [True, False])
def test_a_model_that_is_always_right_or_wrong_has_a_finite_temperature(right):
    probabilities = np.tile([0.9, 0.1], (200, 1))
    temperature = best_temperature(Predictions(probabilities, np.full(200, 0 if right else 1)))
    assert LEAST <= temperature <= MOST


def test_a_probability_of_zero_is_no_trouble():
    predictions = Predictions(np.array([[1.0, 0.0], [0.0, 1.0]] * 60), np.array([0, 0] * 60))
    assert np.isfinite(predictions.scaled(best_temperature(predictions)).loss)


@pytest.mark.backends
def test_the_heads_weights_divide_the_logits():
    model = Mlp((4, 4, 1), 3, hidden_dims=[5])
    model.get_layer("head").bias.assign([1.0, 2.0, 3.0])
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 1), dtype=np.uint8)
    before = keras.ops.convert_to_numpy(model(images))
    divide_logits(model, 2.5)
    assert np.allclose(keras.ops.convert_to_numpy(model(images)), before / 2.5, atol=1e-6)


@pytest.fixture(scope="module")
def calibrated(image_folder, tmp_path_factory):
    """A run whose 100 validation images are enough to tell a temperature."""
    settings = build(tiny_settings(image_folder), "data.validation_size=100")
    return kmixer.train(settings, out=tmp_path_factory.mktemp("calibrated") / "run", verbose=0)


@pytest.mark.backends
def test_metrics_are_those_of_the_saved_model(calibrated):
    from kmixer.data import load_splits
    from kmixer.evaluation.evaluate import predict_split

    split = load_splits(calibrated.settings.data).splits["test"]
    measured, told = predict_split(calibrated.load_model(), split), calibrated.metrics
    assert told["temperature"] != 1
    assert measured.loss == pytest.approx(told["best"]["test"]["loss"], abs=1e-5)
    error = told["best"]["test"]["calibration_error"]
    assert measured.calibration_error == pytest.approx(error, abs=1e-4)


@pytest.mark.whole
@pytest.mark.backends
def test_the_model_is_the_trained_one_but_for_the_head(calibrated, image_folder, tmp_path):
    settings = build(
        tiny_settings(image_folder),
        "data.validation_size=100",
        "training.temperature_scaling=false",
    )
    run = kmixer.train(settings, out=tmp_path / "run", verbose=0)
    temperature = calibrated.metrics["temperature"]
    assert run.metrics["temperature"] is None
    for ours, trained in zip(
        calibrated.load_model().weights, run.load_model().weights, strict=True
    ):
        divided = temperature if ours.path.startswith("head/") else 1.0
        values = keras.ops.convert_to_numpy(ours), keras.ops.convert_to_numpy(trained) / divided
        assert np.allclose(*values, atol=1e-6)


@pytest.mark.whole
@pytest.mark.parametrize("assignment", ["data.validation_size=20", "data.train_on_validation=true"])
def test_images_that_cannot_tell_decide_nothing(image_folder, tmp_path, assignment):
    settings = build(tiny_settings(image_folder), "data.validation_size=100", assignment)
    run = kmixer.train(settings, out=tmp_path / "run", verbose=0)
    assert run.metrics["temperature"] is None
    assert "not calibrated" in (run.folder / "README.md").read_text()


def test_card_and_terminal_say_so(calibrated):
    assert "Probabilities were calibrated" in (calibrated.folder / "README.md").read_text()
    assert json.loads((calibrated.folder / "metrics.json").read_text())["temperature"] > 0
