"""The Mixer as a model: the paper's sizes, its parts in order, saving, precision."""

import doctest
from importlib import import_module
from inspect import signature
from typing import get_args

import keras
import numpy as np
import pytest

from kmixer import backend, models
from kmixer.config.model import ModelSettings
from kmixer.errors import SettingsError
from kmixer.models import (
    SIZES,
    MlpMixer,
    ShiftMlp,
    count_flops,
    default_patch_size,
    mixer_size,
)
from kmixer.models.grids import patch_grids

SMALL = {"patch_size": 4, "blocks": 2, "hidden_dim": 8, "tokens_mlp_dim": 6, "channels_mlp_dim": 10}
PYRAMID = {
    "patch_size": 7, "blocks": 2, "hidden_dim": 512, "tokens_mlp_dim": 16,
    "channels_mlp_dim": [512, 128], "block_dims": [256, 64], "skip_connections": False,
    "pre_head_layer_norm": False, "head_dropout": 0.25,
}  # fmt: skip


@pytest.mark.parametrize(
    ("size", "count"),
    [("S/32", 19_104_624), ("S/16", 18_528_264), ("B/32", 60_293_428), ("B/16", 59_880_472)],
)
def test_the_papers_sizes_have_the_papers_parameters(size, count):
    assert MlpMixer((224, 224, 3), 1000, **mixer_size(size)).count_params() == count


def parameters(patch_size, blocks, hidden_dim, tokens_mlp_dim, channels_mlp_dim):
    """The parameters at 224 pixels and 1000 classes, counted from the paper's description."""
    tokens = (224 // patch_size) ** 2
    stem = (3 * patch_size**2 + 1) * hidden_dim
    token_mlp = 2 * tokens * tokens_mlp_dim + tokens_mlp_dim + tokens
    channel_mlp = 2 * hidden_dim * channels_mlp_dim + channels_mlp_dim + hidden_dim
    block = token_mlp + channel_mlp + 4 * hidden_dim
    return stem + blocks * block + 2 * hidden_dim + (hidden_dim + 1) * 1000


def test_large_sizes_by_the_same_count():
    """L/16 is asserted without building its 0.8 GB: the count that B/16 confirms, for all sizes."""
    assert parameters(**SIZES["b16"]) == 59_880_472
    assert parameters(**SIZES["b32"]) == 60_293_428
    assert parameters(**SIZES["l16"]) == 208_196_168
    rounded = {"s32": 19, "s16": 18, "l32": 206, "h14": 431}  # millions, as Table 1 prints them
    for size, millions in rounded.items():
        assert abs(parameters(**SIZES[size]) / 1e6 - millions) < 1.5, size


@pytest.mark.slow
def test_l16_built():
    assert MlpMixer((224, 224, 3), 1000, **SIZES["l16"]).count_params() == 208_196_168


def test_unknown_size_names_the_nearest():
    with pytest.raises(SettingsError, match="nearest: 'b16'"):
        mixer_size("b61")


@pytest.mark.backends
@pytest.mark.parametrize(
    "arguments", [SMALL, SMALL | {"stem": "dense", "stem_norm": "batch"}, PYRAMID]
)
def test_save_and_load_keep_the_answers(arguments, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), dtype=np.uint8)
    model = MlpMixer((28, 28, 1), 10, mean=[0.3], std=[0.4], **arguments)
    answers = keras.ops.convert_to_numpy(model(images))
    assert answers.shape == (3, 10) and answers.dtype == np.float32
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert np.allclose(keras.ops.convert_to_numpy(loaded(images)), answers, atol=1e-6)
    assert [layer.get_config() for layer in loaded.layers] == [
        layer.get_config() for layer in model.layers
    ]


@pytest.mark.backends
def test_conv_and_dense_stems_are_the_same_function():
    images = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 3), dtype=np.uint8)
    conv = MlpMixer((28, 28, 3), 10, stem="conv", patch_stride=3, **SMALL)
    dense = MlpMixer((28, 28, 3), 10, stem="dense", patch_stride=3, **SMALL)
    for ours, theirs in zip(dense.weights, conv.weights, strict=True):
        ours.assign(keras.ops.reshape(theirs, ours.shape))
    difference = keras.ops.convert_to_numpy(conv(images)) - keras.ops.convert_to_numpy(
        dense(images)
    )
    assert np.abs(difference).max() < 1e-4


@pytest.mark.backends
@pytest.mark.parametrize("stem", ["conv", "dense"])
def test_a_border_that_is_dropped_changes_no_answer(stem):
    options = SMALL | {"patch_size": 14, "patch_stride": 4, "stem": stem, "patch_border": "drop"}
    model = MlpMixer((28, 28, 1), 10, **options)
    images = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 1), dtype=np.uint8)
    without = images.copy()
    without[:, 26:], without[:, :, 26:] = 0, 0
    assert patch_grids(model) == [(4, 4)]
    answers = [keras.ops.convert_to_numpy(model(x)) for x in (images, without)]
    assert np.array_equal(*answers)


@pytest.mark.parametrize("stem", ["conv", "dense"])
def test_a_border_is_padded_with_the_mean(stem):
    """A patch of 3 pixels every 2 on a side of 4: one row and column of zeros behind."""
    options = SMALL | {"patch_size": 3, "patch_stride": 2, "stem": stem}
    padded = MlpMixer((4, 4, 1), 10, patch_border="pad", mean=[0.0], std=[1.0], **options)
    whole = MlpMixer((5, 5, 1), 10, mean=[0.0], std=[1.0], **options)
    whole.set_weights(padded.get_weights())
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 1), dtype=np.uint8)
    larger = np.pad(images, [(0, 0), (0, 1), (0, 1), (0, 0)])
    answers = [keras.ops.convert_to_numpy(m(x)) for m, x in ((padded, images), (whole, larger))]
    assert np.allclose(*answers, atol=1e-6)


def test_a_border_is_refused_where_nothing_is_said_of_it():
    with pytest.raises(SettingsError, match="does not fit an image side of 28"):
        MlpMixer((28, 28, 1), 10, **(SMALL | {"patch_size": 14, "patch_stride": 4}))


def test_pixels_are_normalised_inside():
    model = MlpMixer((4, 4, 1), 2, mean=[0.5], std=[0.25], **SMALL)
    normalise = keras.Model(model.input, model.get_layer("normalise").output)
    pixels = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1) * np.ones((1, 4, 4, 1), np.uint8)
    made = keras.ops.convert_to_numpy(normalise(pixels))
    assert np.allclose(made[:, 0, 0, 0], [-2, 2], atol=1e-6)


@pytest.mark.backends
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_logits_are_float32_under_mixed_precision(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = MlpMixer((28, 28, 1), 10, **SMALL)
    finally:
        keras.config.set_dtype_policy(before)
    logits = model(np.zeros((1, 28, 28, 1), np.uint8))
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    assert model.get_layer("mixer_block_0").compute_dtype == policy.removeprefix("mixed_")


def test_stochastic_depth_grows_linearly():
    model = MlpMixer((28, 28, 1), 10, stochastic_depth=0.3, **(SMALL | {"blocks": 4}))
    rates = [model.get_layer(f"mixer_block_{i}").stochastic_depth for i in range(4)]
    assert np.allclose(rates, [0, 0.1, 0.2, 0.3])


def test_flops_by_hand():
    """4 tokens of 2·2 pixels → 3 channels; tokens 4→5→4; channels 3→6→3; head 3→2; 2 per product."""
    model = MlpMixer(
        (4, 4, 1), 2, patch_size=2, blocks=1, hidden_dim=3, tokens_mlp_dim=5, channels_mlp_dim=6
    )
    stem, tokens, channels, head = 4 * 4 * 3, 3 * (4 * 5 * 2), 4 * (3 * 6 * 2), 3 * 2
    assert count_flops(model) == 2 * (stem + tokens + channels + head)


def test_flops_of_an_unknown_layer_are_refused():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.EinsumDense("bi,ij->bj", 3)(inputs))
    with pytest.raises(TypeError, match="EinsumDense"):
        count_flops(model)


@pytest.mark.parametrize(("side", "patch"), [(28, 4), (32, 4), (224, 32), (64, 8), (13, 1), (8, 1)])
def test_default_patch_size_divides_the_side(side, patch):
    assert default_patch_size(side) == patch


STAGES = [
    {"patch_size": 4, "patch_stride": 2, "dim": 9, "mlp_dim": 18, "blocks": 2},
    {"patch_size": 3, "patch_stride": 2, "dim": 12, "mlp_dim": 18, "blocks": 3},
]


@pytest.mark.backends
def test_shift_mlp_falls_in_resolution_and_survives_saving(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), dtype=np.uint8)
    model = ShiftMlp((28, 28, 1), 10, stages=STAGES, stochastic_depth=0.4)
    blocks = [model.get_layer(f"shift_block_{i}") for i in range(5)]
    assert [block.output.shape[1:] for block in blocks] == [(13, 13, 9)] * 2 + [(6, 6, 12)] * 3
    assert np.allclose([block.stochastic_depth for block in blocks], [0, 0.1, 0.2, 0.3, 0.4])
    answers = keras.ops.convert_to_numpy(model(images))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert np.allclose(keras.ops.convert_to_numpy(loaded(images)), answers, atol=1e-6)


def test_shift_mlps_flops_by_hand():
    stages = [{"patch_size": 2, "dim": 3, "mlp_dim": 5, "blocks": 1}]
    model = ShiftMlp((4, 4, 1), 2, stages=stages)
    assert count_flops(model) == 2 * (4 * 4 * 3 + 4 * (3 * 5 * 2) + 3 * 2)


def test_a_stage_whose_patches_do_not_fit_is_refused():
    stages = [STAGES[0], STAGES[1] | {"patch_size": 4}]
    with pytest.raises(
        SettingsError, match=r"model\.stages\.1\.patch_size 4 does not fit an image side of 13"
    ):
        ShiftMlp((28, 28, 1), 10, stages=stages)


@pytest.mark.parametrize("module", ["mixer", "shift_mlp", "mlp", "cnn", "flops", "variants"])
def test_the_examples_in_the_docstrings_are_right(module):
    results = doctest.testmod(import_module(f"kmixer.models.{module}"))
    assert results.attempted and not results.failed


def test_a_family_is_built_by_the_function_that_its_settings_name():
    for family in get_args(get_args(ModelSettings)[0]):
        assert family.builder in models.__all__
        assert set(family.jit_backends) <= set(backend.BACKENDS)
        arguments = set(signature(getattr(models, family.builder)).parameters)
        assert set(family.model_fields) - {"name"} <= arguments
