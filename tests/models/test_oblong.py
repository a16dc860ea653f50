"""Models of images of 16×64 pixels (height×width)."""

import keras
import numpy as np
import pytest

from kmixer import models
from kmixer.augment import RandomHorizontalFlip
from kmixer.augment.compose import AugmentationPipeline
from kmixer.config import loading
from kmixer.errors import SettingsError
from kmixer.evaluation.model_table import architecture
from kmixer.models.diagram import diagram
from kmixer.models.factory import build_model, with_patch_size, with_resident_images
from kmixer.models.grids import token_grid

SHAPE = (16, 64, 3)
MIXER = {"blocks": 2, "hidden_dim": 8, "tokens_mlp_dim": 6, "channels_mlp_dim": 10}
MODELS = {
    "mixer": lambda: models.MlpMixer(SHAPE, 5, patch_size=4, **MIXER),
    "dense stem": lambda: models.MlpMixer(SHAPE, 5, patch_size=4, stem="dense", **MIXER),
    "overlapping": lambda: models.MlpMixer(SHAPE, 5, patch_size=4, patch_stride=2, **MIXER),
    "shift_mlp": lambda: models.ShiftMlp(
        SHAPE, 5, stages=[{"patch_size": 4, "dim": 9, "mlp_dim": 9, "blocks": 1}]
    ),
    "mlp": lambda: models.Mlp(SHAPE, 5, hidden_dims=[3], patch_size=4),
    "cnn": lambda: models.Cnn(SHAPE, 5, stages=[{"filters": 3, "pool": 4}], patch_size=2),
}


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (3, *SHAPE), dtype=np.uint8)


@pytest.mark.parametrize("name", MODELS)
def test_every_family_takes_them(name, images):
    model = MODELS[name]()
    assert model.output_shape == (None, 5)
    assert np.isfinite(model.predict(images, verbose=0)).all()
    assert models.count_flops(model) > 0 and diagram(model, name).axes


def test_tokens_lie_in_rows_of_sixteen():
    assert token_grid(MODELS["mixer"]()) == (4, 16)
    assert token_grid(MODELS["overlapping"]()) == (7, 31)


def test_operations_by_hand():
    """64 tokens of 48 pixels: stem, then in each block two multiplications a side, then the head."""
    stem, tokens, channels, head = 64 * 48 * 8, 2 * 8 * 64 * 6, 2 * 64 * 8 * 10, 8 * 5
    assert models.count_flops(MODELS["mixer"]()) == 2 * (stem + 2 * (tokens + channels) + head)


def test_the_first_token_is_the_patch_in_the_corner():
    """A model whose stem sums a patch: a white patch at (row 1, column 2) is token 1·16 + 2."""
    model = MODELS["mixer"]()
    tokens = keras.Model(model.input, model.get_layer("tokens").output)
    kernel, _ = model.get_layer("stem").weights
    kernel.assign(keras.ops.ones_like(kernel))
    image = np.zeros((1, *SHAPE), np.uint8)
    image[:, 4:8, 8:12] = 255
    found = keras.ops.convert_to_numpy(tokens(image))[0, :, 0]
    assert np.flatnonzero(found).tolist() == [18]


def test_images_on_the_accelerator_are_looked_up_and_augmented(images):
    model = MODELS["mixer"]()
    pipeline = AugmentationPipeline([RandomHorizontalFlip(1.0)])
    resident = with_resident_images(images, pipeline, model, "float32")
    indices, draws = np.array([2, 0], np.int32), np.zeros((2, pipeline.draws), np.float32)
    found = keras.ops.convert_to_numpy(resident([indices, draws], training=True))
    expected = keras.ops.convert_to_numpy(model(images[[2, 0], :, ::-1]))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("data", "shape", "patches"),
    [
        ({}, (16, 64), (4, None)),
        ({}, (97, 97), (17, 16)),  # prime sides: patches overlap
        ({"resize_size": 28}, (97, 101), (4, None)),
        ({"resize_size": 32, "crop_size": 28}, (16, 64), (4, None)),
    ],
)
def test_an_open_patch_size_is_chosen_by_both_sides(data, shape, patches):
    settings = loading.build_settings({"data": data, "model": {"name": "mixer"} | MIXER})
    model = with_patch_size(settings, *shape).model
    assert (model.patch_size, model.patch_stride) == patches
    build_model(with_patch_size(settings, *shape), (*shape, 1), 3)


def test_a_given_stride_or_size_stays():
    given = loading.build_settings({"model": {"patch_stride": 2}})
    assert with_patch_size(given, 28, 28).model.patch_stride == 2
    given = loading.build_settings({"model": {"patch_size": 97}})
    assert with_patch_size(given, 97, 97).model.patch_size == 97
    with pytest.raises(SettingsError, match=r"data\.image_size"):
        with_patch_size(loading.build_settings({}), 101, 64)


def test_the_table_of_models_takes_both_sides():
    facts = architecture("s16", (64, 256), 10).describe()
    assert facts["input_shape"] == [64, 256, 3] and facts["patch_grids"] == [[4, 16]]
    with pytest.raises(SettingsError, match="patch_size 16 does not fit an image side of 40"):
        architecture("s16", (64, 40))
