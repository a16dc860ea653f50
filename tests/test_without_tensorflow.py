"""JAX and PyTorch train where TensorFlow is not installed."""

import json
import os

import pytest

from installed import skip_without
from kmixer import backend as backends
from one_process import run_commands

SMALL = (
    "--epochs", 1, "--batch-size", 16, "--set", "data.validation_size=20", "--patch-size", 4,
    "--blocks", 1, "--hidden-dim", 8, "--set", "augment.horizontal_flip=0.5", "--quiet",
)  # fmt: skip


@pytest.fixture
def hidden(tmp_path):
    """An environment in which `import tensorflow` fails, as if it were not installed."""
    folder = tmp_path / "hidden"
    folder.mkdir()
    absent = 'raise ModuleNotFoundError("No module named \'tensorflow\'", name="tensorflow")\n'
    (folder / "tensorflow.py").write_text(absent)
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


@pytest.mark.whole
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_training_and_what_follows_it(hidden, image_folder, tmp_path, backend):
    skip_without(backend)
    train = ("train", image_folder, "--backend", backend, *SMALL)
    finetune = (
        "finetune", "host", image_folder, "--epochs", 1, "--out", "tuned", "--backend", backend,
        "--set", "data={batch_size: 16, validation_size: 20}", "--quiet",
    )  # fmt: skip
    commands = [
        (*train, "--out", "host"),
        (*train, "--out", "accelerator", "--set", "augment.on=accelerator"),
        ("evaluate", "host", "--json"),
        ("evaluate", "accelerator", "--json"),
        finetune,
        ("predict", "tuned", next((image_folder / "test").rglob("*.png"))),
    ]
    for words, done in zip(commands, run_commands(commands, cwd=tmp_path, env=hidden), strict=True):
        assert done.returncode == 0, (words, done.stderr)
        assert "--json" not in words or json.loads(done.stdout)["examples"] == 40


def test_what_needs_it_says_so_in_one_line(hidden, tmp_path):
    skip_without("jax")
    messages = {
        ("train", "tfds:mnist", "--backend", "jax"): "tensorflow is not installed; install it",
        (
            "train",
            "fmnist",
            "--set",
            "training.track=tensorboard",
            "--backend",
            "jax",
        ): "training.track: received 'tensorboard', expected tensorflow to be installed",
    }
    ended = run_commands(messages, cwd=tmp_path, env=hidden)
    for done, message in zip(ended, messages.values(), strict=True):
        assert done.returncode in (1, 2)
        assert message in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "saved_models").exists()


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
