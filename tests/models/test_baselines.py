"""The baselines: layer by layer as their reports list them, and what does not fit."""

import math

import keras
import numpy as np
import pytest

from kmixer.config import loading, presets
from kmixer.data import load_splits
from kmixer.errors import SettingsError
from kmixer.layers import initializer
from kmixer.models import Cnn, Mlp, MlpMixer, count_flops
from kmixer.models.factory import build_model
from kmixer.training.resolve import resolve

# Of each layer with trainable weights: output shape without batch, trainable parameters.
LISTED = {
    "fmnist-mlp4": [((500,), 392_500), ((250,), 125_250), ((250,), 62_750), ((10,), 2_510)],
    "fmnist-mlp4-patched": [
        ((500,), 392_500), ((250,), 125_250), ((250,), 62_750), ((10,), 2_510),
    ],
    "fmnist-mlp-custom": [
        ((900,), 706_500), ((500,), 450_500), ((450,), 225_450), ((250,), 112_750), ((10,), 2_510),
    ],
    "fmnist-cnn-a": [
        ((28, 28, 4), 40), ((28, 28, 4), 8), ((14, 14, 4), 148), ((14, 14, 4), 8), ((10,), 1_970),
    ],
    "fmnist-cnn-b": [((28, 26, 32), 320), ((100,), 582_500), ((10,), 1_010)],
    "fmnist-cnn-c": [
        ((28, 26, 32), 320), ((14, 13, 4), 1_156), ((14, 13, 4), 8), ((100,), 16_900),
        ((150,), 15_150), ((10,), 1_510),
    ],
}  # fmt: skip
TOTALS = {
    "fmnist-mlp4": 583_010, "fmnist-mlp4-patched": 583_010, "fmnist-mlp-custom": 1_497_710,
    "fmnist-cnn-a": 2_174, "fmnist-cnn-b": 583_830, "fmnist-cnn-c": 35_044,
}  # fmt: skip
# Where the poolings leave the image, as listed.
POOLED = {
    "fmnist-cnn-a": [(14, 14, 4), (7, 7, 4)],
    "fmnist-cnn-b": [(14, 13, 32)],
    "fmnist-cnn-c": [(14, 13, 32), (7, 6, 4)],
    "fmnist-vgg11": [(14, 14, 64), (7, 7, 128), (3, 3, 256), (1, 1, 512)],
}


def build(preset):
    return build_model(loading.build_settings(presets.read_preset(preset)), (28, 28, 1), 10)


def spread(layer):
    return np.std(keras.ops.convert_to_numpy(layer.kernel))


def trainable(layer):
    return sum(math.prod(weight.shape) for weight in layer.trainable_weights)


@pytest.mark.parametrize("preset", LISTED)
def test_layer_by_layer_as_listed(preset):
    model = build(preset)
    found = [(tuple(la.output.shape[1:]), trainable(la)) for la in model.layers if trainable(la)]
    assert found == LISTED[preset]
    assert trainable(model) == TOTALS[preset]


@pytest.mark.parametrize("preset", POOLED)
def test_pooling_leaves_the_listed_sizes(preset):
    pools = [la for la in build(preset).layers if isinstance(la, keras.layers.MaxPooling2D)]
    assert [tuple(layer.output.shape[1:]) for layer in pools] == POOLED[preset]


def test_vgg11_has_eight_convolutions_with_batch_norm():
    layers = build("fmnist-vgg11").layers
    convolutions = [la for la in layers if isinstance(la, keras.layers.Conv2D)]
    norms = [la for la in layers if isinstance(la, keras.layers.BatchNormalization)]
    assert [la.filters for la in convolutions] == [64, 128, 256, 256, 512, 512, 512, 512]
    assert len(norms) == 8


@pytest.mark.backends
@pytest.mark.parametrize(
    ("builder", "arguments"),
    [
        (Mlp, {"hidden_dims": [8, 4], "dropout": 0.1, "activation": "leaky_relu"}),
        (Mlp, {"hidden_dims": [8], "patch_size": 7}),
        (Cnn, {"stages": [{"filters": 3, "padding": (1, 0), "batch_norm": True, "pool": 2}]}),
        (Cnn, {"stages": [{"filters": 3, "padding": "valid"}], "patch_size": 4,
               "hidden_dims": [5]}),
    ],
)  # fmt: skip
def test_save_and_load_keep_the_answers(builder, arguments, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), dtype=np.uint8)
    model = builder((28, 28, 1), 10, mean=[0.3], std=[0.4], **arguments)
    answers = keras.ops.convert_to_numpy(model(images))
    assert answers.shape == (3, 10) and answers.dtype == np.float32
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert np.allclose(keras.ops.convert_to_numpy(loaded(images)), answers, atol=1e-6)


@pytest.mark.backends
def test_patched_input_is_the_image_patch_by_patch():
    """A 4×4 image of 0..15 in patches of 2: the first holds 0, 1, 4, 5."""
    model = Mlp((4, 4, 1), 2, hidden_dims=[3], patch_size=2)
    flat = keras.Model(model.input, model.get_layer("flatten").output)
    pixels = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)
    seen = np.round(255 * keras.ops.convert_to_numpy(flat(pixels))[0]).astype(int).tolist()
    assert seen == [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]


def test_by_layer_is_normal_for_dense_and_he_normal_for_convolutions():
    assert initializer("by_layer", "dense") == "random_normal"
    assert initializer("by_layer", "conv") == "he_normal"
    assert initializer("glorot_normal", "conv") == "glorot_normal"
    model = Cnn((28, 28, 1), 10, stages=[{"filters": 64}, {"filters": 64}], hidden_dims=[50],
                kernel_initializer="by_layer")  # fmt: skip
    he = math.sqrt(2 / (9 * 64))
    assert spread(model.get_layer("conv_1")) == pytest.approx(he, rel=0.05)
    assert spread(model.get_layer("hidden_0")) == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize("stem", ["conv", "dense"])
def test_by_layer_reaches_every_kernel_of_a_mixer(stem):
    model = MlpMixer((28, 28, 1), 10, patch_size=4, blocks=1, hidden_dim=64, tokens_mlp_dim=64,
                     channels_mlp_dim=64, stem=stem, kernel_initializer="by_layer")  # fmt: skip
    expected = math.sqrt(2 / 16) if stem == "conv" else 0.05
    assert spread(model.get_layer("stem")) == pytest.approx(expected, rel=0.1)


def test_flops_by_hand():
    """3×3 kernels at 4×4 places, 1 → 2 channels, pooled to 2×2; then 8 → 3 → 2."""
    model = Cnn((4, 4, 1), 2, stages=[{"filters": 2, "pool": 2}], hidden_dims=[3])
    assert count_flops(model) == 2 * (16 * 9 * 2 + 8 * 3 + 3 * 2)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([{"filters": 1, "pool": 4}, {"filters": 1, "pool": 8}],
         r"model.stages.1.pool: received 8, expected at most 7: 7×7 pixels"),
        ([{"filters": 1, "kernel_size": 29, "padding": "valid"}],
         r"model.stages.0.kernel_size: received 29, expected at most 28"),
    ],
)  # fmt: skip
def test_a_stage_that_does_not_fit_is_named(stages, message):
    with pytest.raises(SettingsError, match=message):
        Cnn((28, 28, 1), 10, stages=stages)


def test_patches_that_do_not_fit_are_refused():
    with pytest.raises(SettingsError, match=r"model\.patch_size 5"):
        Mlp((28, 28, 1), 10, hidden_dims=[3], patch_size=5)


@pytest.mark.backends
def test_xla_is_chosen_by_backend_and_kind_of_model(image_folder):
    name = keras.backend.backend()
    expected = {
        "tensorflow": (True, True, False, False), "jax": (True,) * 4, "torch": (False,) * 4,
    }[name]  # fmt: skip
    stages = {"shift_mlp": [{"patch_size": 2, "dim": 4, "mlp_dim": 4}], "cnn": [{"filters": 2}]}
    models = [{"patch_size": 4}, *({"name": n, "stages": s} for n, s in stages.items())]
    models.insert(2, {"name": "mlp"})
    data = {"data": {"name": str(image_folder), "validation_size": 20}}
    dataset = load_splits(loading.build_settings(data).data)
    found = [
        resolve(loading.build_settings(data, {"model": model}), dataset).training.jit
        for model in models
    ]
    assert tuple(found) == expected
