"""JAX and PyTorch train where TensorFlow is not installed."""

import json
import os
from importlib.util import find_spec

import pytest

from kmixer import backend as backends

SMALL = (
    "--epochs", 1, "--batch-size", 16, "--set", "data.validation_size=20", "--patch-size", 4,
    "--blocks", 1, "--hidden-dim", 8, "--set", "augment.horizontal_flip=0.5",
)  # fmt: skip


@pytest.fixture
def hidden(tmp_path):
    """An environment in which `import tensorflow` fails as where there is none."""
    folder = tmp_path / "hidden"
    folder.mkdir()
    absent = 'raise ModuleNotFoundError("No module named \'tensorflow\'", name="tensorflow")\n'
    (folder / "tensorflow.py").write_text(absent)
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths)}


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize("place", ["host", "accelerator"])
def test_a_training_and_what_follows_it(kmixer_cli, hidden, image_folder, tmp_path, backend, place):
    if not find_spec(backend):
        pytest.skip(f"{backend} is not installed")
    trained = kmixer_cli(
        "train", image_folder, "--backend", backend, "--json", *SMALL, "--set",
        f"augment.on={place}", "--out", tmp_path / "run", env=hidden,
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["epochs"] == 1
    measured = kmixer_cli("evaluate", tmp_path / "run", "--json", env=hidden)
    assert measured.returncode == 0, measured.stderr
    if place == "host":
        tuned = ("finetune", tmp_path / "run", image_folder, "--epochs", 1, "--out", tmp_path / "2")
        recipe = ("--backend", backend, "--set", "data={batch_size: 16, validation_size: 20}")
        tested = next((image_folder / "test").rglob("*.png"))
        for words in ((*tuned, *recipe), ("predict", tmp_path / "2", tested)):
            done = kmixer_cli(*words, env=hidden)
            assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "tfds:mnist", "--backend", "jax"), "tensorflow is not installed; install it"),
        (("train", "fmnist", "--set", "training.tensorboard=true", "--backend", "jax"), "tensor"),
    ],
)
def test_what_needs_it_says_so_in_one_line(kmixer_cli, hidden, tmp_path, arguments, message):
    if not find_spec("jax"):
        pytest.skip("jax is not installed")
    done = kmixer_cli(*arguments, env=hidden, cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert message in done.stderr and len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("written", "chosen"), [("tensorflow", "torch"), ("jax", "jax"), (None, "torch")]
)
def test_a_keras_json_that_keras_wrote_is_passed_over(tmp_path, monkeypatch, written, chosen):
    if written:
        (tmp_path / "keras.json").write_text(json.dumps({"backend": written}))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND")
    monkeypatch.setattr(backends, "find_spec", lambda name: name == "torch" or None)
    assert backends.configured() == chosen
