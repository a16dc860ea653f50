"""`training.whiten_stem`: the stem's outputs of the training images are white when training begins."""

import keras
import numpy as np
import pytest
from keras import ops

import kmixer
from kmixer.errors import SettingsError
from kmixer.training.initial_model import initial_model
from kmixer.training.resolve import resolve
from kmixer.training.whitening import NOISE, whitening_filters
from tiny_settings import tiny_settings

pytestmark = pytest.mark.backends
SHIFT = {
    "name": "shift_mlp",
    "stages": [{"patch_size": 4, "patch_stride": 2, "dim": 12, "mlp_dim": 8}],
}
MODELS = {
    "conv": tiny_settings()["model"] | {"hidden_dim": 12},
    "overlapping": tiny_settings()["model"] | {"hidden_dim": 12, "patch_stride": 2},
    "dense": tiny_settings()["model"] | {"hidden_dim": 12, "stem": "dense"},
    "shift": SHIFT,
}


def test_filters_by_hand():
    """Variances 4 and 1 along the diagonals: filters of length 1/2 and 1 along them."""
    along, across = np.array([1, 1]) / 2**0.5, np.array([1, -1]) / 2**0.5
    patches = np.concatenate([np.outer([2, -2], along), np.outer([1, -1], across)]) * 2**0.5
    strong, weak = whitening_filters(patches).T
    assert abs(strong @ along) == pytest.approx(
        1 / (4 + NOISE) ** 0.5
    ) and strong @ across == pytest.approx(0)
    assert abs(weak @ across) == pytest.approx(1 / (1 + NOISE) ** 0.5)


@pytest.mark.parametrize("kind", MODELS)
def test_the_stems_outputs_are_white(image_folder, kind):
    settings = kmixer.build_settings(
        tiny_settings(image_folder, training={"whiten_stem": True}) | {"model": MODELS[kind]}
    )
    dataset = kmixer.datasets.load_splits(settings.data)
    model = initial_model(resolve(settings, dataset), dataset)
    kernel = ops.convert_to_numpy(model.get_layer("stem").kernel).reshape(-1, 12)
    assert np.array_equal(kernel[:, :6], -kernel[:, 6:])  # each filter and its negative
    outputs = keras.Model(model.input, model.get_layer("stem").output)
    values = ops.convert_to_numpy(outputs(dataset.train.images)).reshape(-1, 12)[:, :6]
    covariance = values.T @ values / len(values)
    variances = np.diag(covariance)
    assert np.abs(covariance - np.diag(variances)).max() < 1e-3
    assert (variances < 1 + 1e-3).all() and variances[0] > 0.9
    assert (np.diff(variances) < 1e-3).all()  # the strongest first


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_a_model_without_a_stem_is_refused(image_folder, tmp_path, name):
    settings = kmixer.build_settings(
        tiny_settings(image_folder, training={"whiten_stem": True}) | {"model": {"name": name}}
    )
    with pytest.raises(SettingsError, match=f"whiten_stem: received true, .* {name} is"):
        kmixer.train(settings, out=tmp_path / "run")
