"""The steps of a model give what the Keras model gives, whatever its family and form."""

import keras
import numpy as np
import pytest

from kmixer import build_settings
from kmixer.config import presets
from kmixer.config.architectures import read_architectures
from kmixer.errors import RunError
from kmixer.exporting.lowering import lower
from kmixer.exporting.steps import Dense, count_weights, describe
from kmixer.models.factory import with_patch_size
from model_forms import CNN_FORMS, FORMS, MIXER, build_form
from numpy_steps import STEPS, run_steps

RESIZED = {"image_size": 11, "resize_size": 12, "crop_size": 8}
MODELS = {name: {"model": {"name": "mixer"} | form} for name, form in (FORMS | CNN_FORMS).items()}
MODELS["resized"] = {"model": {"name": "mixer"} | MIXER, "data": RESIZED}
EACH_BACKEND = {"overlapping", "post-norm", "shift_mlp", "cnn", "cnn, padded", "resized"}


def assert_same_answers(model):
    images = np.random.default_rng(1).integers(0, 256, (3, *model.input_shape[1:]), dtype=np.uint8)
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(model(images)))
    description, weights = describe(lower(model))
    received = [run_steps(description, weights, image) for image in images]
    np.testing.assert_allclose(received, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.backends] * (n in EACH_BACKEND)) for n in MODELS],
)
def test_each_form_of_each_family(name):
    side = 11 if name == "resized" else 8
    assert_same_answers(build_form(MODELS[name], (side, side, 1)))


@pytest.mark.parametrize(
    "name",
    [row["name"] for row in read_architectures()
     if row["name"] in presets.preset_names() and row["parameters"] < 3e6],
)  # fmt: skip
def test_each_small_preset(name):
    (shape,) = (row["input_shape"] for row in read_architectures() if row["name"] == name)
    settings = with_patch_size(build_settings(presets.read_preset(name)), *shape[:2])
    sides = {"image_size": shape[0], "resize_size": None, "crop_size": None}
    assert_same_answers(
        build_form({"model": settings.model.model_dump(mode="json"), "data": sides}, tuple(shape))
    )


def test_the_tests_models_have_every_kind_of_step():
    kinds = {s.kind for form in MODELS.values() if "data" not in form
             for s in lower(build_form(form, (8, 8, 1)))}  # fmt: skip
    assert kinds == set(STEPS)


def test_a_description_by_hand():
    kernel = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    steps = [Dense((3, 2), (3, 2), 1, kernel, None), Dense((6,), (6,), 0, np.eye(6), kernel[0])]
    description, weights = describe(steps)
    assert description == {
        "input_shape": [3, 2],
        "weights": 42,
        "steps": [
            {"kind": "dense", "input_shape": (3, 2), "shape": (3, 2), "axis": 1,
             "kernel": {"offset": 0, "shape": [2, 2]}, "bias": None},
            {"kind": "dense", "input_shape": (6,), "shape": (6,), "axis": 0,
             "kernel": {"offset": 4, "shape": [6, 6]}, "bias": {"offset": 40, "shape": [2]}},
        ],
    }  # fmt: skip
    np.testing.assert_array_equal(np.frombuffer(weights, "<f4")[:4], kernel.ravel())
    assert count_weights(steps) == 42


@pytest.mark.parametrize(
    ("layer", "message"),
    [(keras.layers.UnitNormalization(), "'odd' of class UnitNormalization has no steps"),
     (keras.layers.Activation("selu"), "activation 'selu' has no steps"),
     (keras.layers.Conv2D(2, (1, 2)), "'odd' is a convolution of a kind that has no steps"),
     (keras.layers.Dense(2, kernel_initializer=keras.initializers.Constant(np.nan)),
      "odd/kernel are not all finite")],
)  # fmt: skip
def test_what_has_no_steps_is_named(layer, message):
    layer.name = "odd"
    model = keras.Sequential([keras.Input((4, 4, 1)), layer])
    model = keras.Model(model.inputs, model.outputs)
    with pytest.raises(RunError, match=message):
        lower(model)
