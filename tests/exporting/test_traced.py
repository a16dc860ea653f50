"""The forms that converters see compute what the Keras layers compute."""

import keras
import numpy as np
import pytest
from PIL import Image

if keras.backend.backend() != "tensorflow":
    pytest.skip("the graphs are TensorFlow's", allow_module_level=True)

import tensorflow as tf

from kmixer import models
from kmixer.data.decode import Decoding, decode
from kmixer.exporting.writers import traced

SHAPE = (8, 8, 1)
PIXELS = {"mean": [0.3], "std": [0.4]}
MIXER = {"patch_size": 4, "blocks": 2, "hidden_dim": 8, "tokens_mlp_dim": 4, "channels_mlp_dim": 8}
MODELS = {
    "mixer": lambda: models.MlpMixer(SHAPE, 3, **MIXER, **PIXELS),
    "mixer, exact GELU": lambda: models.MlpMixer(SHAPE, 3, **MIXER, activation="gelu", **PIXELS),
    "mixer, post-norm, batch norm": lambda: models.MlpMixer(
        SHAPE, 3, **MIXER, norm_position="post", stem_norm="batch", stem="dense", **PIXELS
    ),
    "mixer that resizes": lambda: models.MlpMixer(
        SHAPE, 3, **MIXER, resize_size=16, crop_size=12, **PIXELS
    ),
    "shift_mlp": lambda: models.ShiftMlp(
        SHAPE, 3, stages=[{"patch_size": 2, "dim": 9, "mlp_dim": 18, "blocks": 2}], **PIXELS
    ),
    "mlp": lambda: models.Mlp(SHAPE, 3, hidden_dims=[5], **PIXELS),
}


@pytest.fixture(params=MODELS)
def model(request):
    keras.utils.set_random_seed(0)  # what eight bits leave out depends on the weights
    built = MODELS[request.param]()
    generator = np.random.default_rng(0)
    for variable in built.variables:  # norms that are not the identity
        if "float" in str(variable.dtype):
            variable.assign(variable + generator.normal(0, 0.1, variable.shape) ** 2)
    return built


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, *SHAPE), dtype=np.uint8)


def test_every_form_gives_the_models_probabilities(model, images):
    expected = keras.ops.softmax(model.predict(images, verbose=0)).numpy()
    fixed, whole = traced.fixed_size(model, SHAPE), traced.any_size(model, SHAPE)
    for function in (fixed, whole):
        received = function(tf.constant(images))["probabilities"].numpy()
        np.testing.assert_allclose(received, expected, atol=2e-6)
    lengths = traced.fixed_size(model, SHAPE, representative=images)
    received = lengths(tf.constant(images, tf.float32))["probabilities"].numpy()
    np.testing.assert_allclose(
        received, expected, atol=5e-3
    )  # means below an integer's step are left


def test_keras_is_as_before_afterwards(images):
    before = keras.layers.Dense.call, keras.layers.LayerNormalization.call
    traced.fixed_size(MODELS["mixer"](), SHAPE).get_concrete_function()
    assert (keras.layers.Dense.call, keras.layers.LayerNormalization.call) == before


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(8, 8), (16, 16), (30, 17), (9, 40), (3, 5), (1, 1)])
@pytest.mark.parametrize("target", [(8, 8), (6, 10), (16, 64)])
def test_fitting_is_that_of_image_files_to_a_grey_level(size, target, fit, tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, size, dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    expected = decode(tmp_path / "image.png", Decoding(*target, 1, fit))[..., 0].astype(float)
    fitted = traced._fit(tf.constant(pixels[None, :, :, None], tf.float32), *target, fit)
    difference = np.abs(fitted.numpy()[0, :, :, 0] - expected)
    assert difference.max() <= 1
    if size == target:
        assert (difference == 0).all()
