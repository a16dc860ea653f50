"""The model in NumPy gives what the Keras model gives, or leaves it to Keras."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from changed_run import changed_run, name_files
from kmixer.config import loading, presets
from kmixer.config.architectures import read_architectures
from kmixer.errors import RunError
from kmixer.models.factory import with_patch_size
from kmixer.runs.numpy_model import numpy_model
from model_forms import FORMS

ELSEWHERE = {
    "cnn": {"model": {"name": "cnn"}},
    "bfloat16": {"training": {"precision": "mixed_bfloat16"}},
    "resized": {"data": {"resize_size": 12, "crop_size": 8}},
}


def with_random_weights(run):
    """Give every weight of a run another value; return the run."""
    model, generator = run.build_model(), np.random.default_rng(0)
    for weight in model.weights:
        if "float" in str(weight.dtype):
            weight.assign(weight + np.abs(generator.normal(0, 0.1, weight.shape)))
    run.save_model(model)
    name_files(run)
    return run


def assert_same_answers(run, shape):
    images = np.random.default_rng(1).integers(0, 256, (3, *shape), dtype=np.uint8)
    logits = run.load_model()(images)  # not `predict`, which compiles
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    np.testing.assert_allclose(numpy_model(run)(images), expected, rtol=0, atol=2e-6)


EACH_BACKEND = {"overlapping", "post-norm", "shift_mlp", "mlp of patches"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.backends] * (n in EACH_BACKEND)) for n in FORMS],
)
def test_each_form_of_each_family(name, trained_run, tmp_path):
    run = changed_run(trained_run, tmp_path / "run", model={"name": "mixer"} | FORMS[name])
    assert_same_answers(with_random_weights(run), (8, 8, 1))


SMALL = [
    row["name"] for row in read_architectures()
    if row["name"] in presets.preset_names() and row["parameters"] < 3e6 and "cnn" not in row["name"]
]  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_each_small_preset(name, trained_run, tmp_path):
    (shape,) = (row["input_shape"] for row in read_architectures() if row["name"] == name)
    settings = loading.build_settings(presets.read_preset(name))
    model = with_patch_size(settings, *shape[:2]).model.model_dump(mode="json")
    statistics = {"mean": [0.3] * shape[-1], "std": [0.6] * shape[-1], "channels": shape[-1]}
    sizes = {"image_size": shape[0], "resize_size": None, "crop_size": None}
    run = changed_run(
        trained_run, tmp_path / "run", class_names=list("abcdefghij"), input_shape=shape,
        model=model, data=statistics | sizes,
    )  # fmt: skip
    assert_same_answers(with_random_weights(run), shape)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_is_not_computed_here_is_left_to_keras(name, trained_run, tmp_path):
    assert numpy_model(changed_run(trained_run, tmp_path / "run", **ELSEWHERE[name])) is None


def test_what_takes_much_memory_is_left_to_keras(trained_run, tmp_path, monkeypatch):
    run = changed_run(trained_run, tmp_path / "run", model={"patch_stride": 1})  # 25 patches
    monkeypatch.setattr("kmixer.runs.numpy_model.MOST_VALUES", 25 * 16)
    assert numpy_model(run) is not None
    monkeypatch.setattr("kmixer.runs.numpy_model.MOST_VALUES", 25 * 16 - 1)
    assert numpy_model(run) is None


def test_weights_of_another_model_are_refused(trained_run, tmp_path):
    run = changed_run(trained_run, tmp_path / "run")
    for changes, expected in (
        ({"blocks": 1}, "mixer_block_1/token_norm/vars/0 of 8"),
        ({"hidden_dim": 9}, "conv2d/vars/0 of 4×4×1×8"),
        ({"tokens_mlp_dim": 5}, "mixer_block/token_mixing/hidden/vars/0 of 4×4"),
        ({"stem": "dense"}, "conv2d/vars/0 of 4×4×1×8"),
    ):
        other = changed_run(trained_run, tmp_path / str(changes), model=changes)
        (run.folder / "model.keras").write_bytes((other.folder / "model.keras").read_bytes())
        with pytest.raises(RunError, match=f"describes: it holds no layers/{expected}"):
            numpy_model(run)


def test_weights_that_are_too_many_or_no_numbers_are_left_to_keras(trained_run, tmp_path):
    run = changed_run(trained_run, tmp_path / "run")
    other = changed_run(trained_run, tmp_path / "other", model={"blocks": 3})
    (run.folder / "model.keras").write_bytes((other.folder / "model.keras").read_bytes())
    assert numpy_model(run) is None
    model = run.build_model()
    model.weights[0].assign(np.full(model.weights[0].shape, np.nan))
    run.save_model(model)
    assert numpy_model(run) is None


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the same on each backend")
def test_one_image_is_classified_without_keras(trained_run, image_folder, run_command):
    image = next((image_folder / "test").rglob("*.png"))
    code = (
        "import sys, kmixer_cli.main as m\n"
        f"try: m.main(['predict', {str(trained_run.folder)!r}, {str(image)!r}, '--json'])\n"
        "except SystemExit: pass\nassert 'keras' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    asked = run_command("predict", trained_run.folder, image, "--json", "--backend", "tensorflow")
    ours, theirs = (json.loads(text)["images"][0] for text in (done.stdout, asked.stdout))
    assert [row["class"] for row in ours["classes"]] == [row["class"] for row in theirs["classes"]]
    for one, other in zip(ours["classes"], theirs["classes"], strict=True):
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-6)
