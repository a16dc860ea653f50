"""`kmixer finetune NAME` and `kmixer train --start NAME` as they are typed."""

import json

import pytest
import yaml
from PIL import Image
from safetensors.numpy import save

from mixer_reference import as_timm, official


@pytest.fixture
def photos(tmp_path):
    """Red and blue pictures of 12×12 pixels."""
    for label, red in (("blue", 20), ("red", 200)):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for index in range(30):
            picture = Image.new("RGB", (12, 12), (red, index, 220 - red))
            picture.save(tmp_path / "photos" / label / f"{index}.png")
    return tmp_path / "photos"


SHORT = ("--epochs", 1, "--set", "data.batch_size=16", "--set", "training.jit=false", "--quiet")


@pytest.mark.whole
def test_training_starts_from_a_shipped_start_by_its_name(run_command, photos, tmp_path):
    done = run_command(
        "train", photos, "--start", "cifar10-shift", *SHORT, "--out", tmp_path / "run"
    )
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["finetune"]["run"] == "cifar10-shift"
    assert config["finetune"]["sha256"] == config["run"]["start"]["sha256"]
    assert config["model"]["name"] == "shift_mlp" and config["data"]["resize_size"] == 32
    (tmp_path / "again.yaml").write_text((tmp_path / "run" / "config.yaml").read_text())
    again = run_command(
        "train", photos, "--config", tmp_path / "again.yaml", *SHORT, "--out", tmp_path / "again"
    )
    assert again.returncode == 0, again.stderr
    repeated = yaml.safe_load((tmp_path / "again" / "config.yaml").read_text())
    assert repeated["finetune"] == config["finetune"] and repeated["model"] == config["model"]


@pytest.mark.whole
def test_published_weights_are_fetched_by_a_process_and_used_again_without_a_network(
    kmixer_cli, fake_hub, photos, tmp_path, tiny_size
):
    arrays = as_timm(official("tiny"))
    described = {
        "architecture": "mixer_tiny",
        "pretrained_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3},
    }
    commit = fake_hub.publish(
        "some/mixer", model__safetensors=save(arrays), config__json=json.dumps(described).encode()
    )
    words = ("finetune", "some/mixer", photos, *SHORT[:-1])
    done = kmixer_cli(*words, "--out", tmp_path / "run", env=fake_hub.env)
    assert done.returncode == 0, done.stderr
    assert f"start    some/mixer@{commit}: mixer, 12×12×3, 5 classes, SHA-256" in done.stdout
    assert not [asked for asked in fake_hub.asked if "/some/mixer" not in asked]  # no telemetry
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["finetune"]["run"] == config["run"]["start"]["name"] == f"some/mixer@{commit}"
    fake_hub.asked.clear()
    offline = fake_hub.env | {"HF_HUB_OFFLINE": "1"}
    words = ("train", photos, "--config", tmp_path / "run" / "config.yaml", "--quiet")
    again = kmixer_cli(*words, "--out", tmp_path / "again", env=offline)
    assert again.returncode == 0 and not fake_hub.asked, again.stderr
    assert (
        yaml.safe_load((tmp_path / "again" / "config.yaml").read_text())["finetune"]
        == config["finetune"]
    )


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("finetune", "cifar-shift"), 2, "nearest: 'cifar10-shift'"),
        (("finetune", "mixer-b16"), 1, "mixer-b16: 127.0.0.1"),
        (("train", "--start", "saved/none"), 1, "saved/none: there is no such folder, and 127.0.0.1"),
        (("train", "--start", "cifar10-shift", "--hidden-dim", "8"), 2, "model.hidden_dim: no such setting"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(run_command, fake_hub, photos, tmp_path, words, code, message):
    done = run_command(*words, photos, "--out", tmp_path / "run", cwd=tmp_path)
    assert done.returncode == code
    assert message in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_names_to_start_from_are_listed(run_command):
    done = run_command("finetune", "--help")
    for name in ("cifar10-shift", "mixer-b16", "OWNER/REPO"):
        assert name in done.stdout
