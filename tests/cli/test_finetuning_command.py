"""`kmixer finetune` as it is typed."""

import pytest
import yaml
from PIL import Image

from kmixer import load_run
from tiny_settings import tiny_flags


def _train(run_command, folder, out, *more):
    words = [*tiny_flags(training={"epochs": 1}), *more]
    done = run_command("train", folder, *words, "--out", out, "--quiet")
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.whole
def test_its_settings_are_the_runs_the_files_and_the_flags(run_command, image_folder, tmp_path):
    run = _train(run_command, image_folder, tmp_path / "run")
    before = yaml.safe_load((run / "config.yaml").read_text())
    recipe = yaml.safe_load((run / "config.yaml").read_text())
    recipe["data"]["mean"] = [0.9]
    recipe["finetune"] = {
        "run": "mixer-b16",
        "sha256": "0" * 64,
        "freeze": ["stem"],
        "layer_decay": 0.9,
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    tuned = run_command(
        "finetune", run, image_folder, "--config", tmp_path / "recipe.yaml", "--layer-decay", 0.5,
        "--freeze", "stem, blocks.0", "--image-size", 12, "--out", tmp_path / "tuned", "--quiet",
    )  # fmt: skip
    assert tuned.returncode == 0, tuned.stderr
    after = yaml.safe_load((tmp_path / "tuned" / "config.yaml").read_text())
    assert after["finetune"] == {
        "run": str(run), "sha256": None, "freeze": ["stem", "blocks.0"], "layer_decay": 0.5,
    }  # fmt: skip
    assert after["data"]["mean"] == before["data"]["mean"] != [0.9]
    assert after["data"]["resize_size"] == 12 and after["data"]["batch_size"] == 16


def _write_pictures(folder, mode):
    for label in "ab":
        (folder / label).mkdir(parents=True)
        for index in range(20):
            picture = Image.new("RGB", (8, 8), (index, 9, 200)).convert(mode)
            picture.putpixel((index % 8, 3), 255 if mode == "L" else (255, 255, 255))
            picture.save(folder / label / f"{index}.png")
    return folder


@pytest.mark.whole
def test_a_gray_run_reads_color_pictures_in_gray_and_says_so(run_command, trained_run, tmp_path):
    pictures = _write_pictures(tmp_path / "color", "RGB")
    words = ("--epochs", 1, "--set", "data.batch_size=8", "--out", tmp_path / "tuned")
    done = run_command("finetune", trained_run.folder, pictures, *words)
    assert done.returncode == 0, done.stderr
    assert "color images are read as gray ones" in done.stdout
    assert load_run(tmp_path / "tuned").info["input_shape"] == [8, 8, 1]


@pytest.mark.whole
def test_a_color_run_reads_gray_pictures_in_color_and_says_so(run_command, tmp_path):
    run = _train(run_command, _write_pictures(tmp_path / "color", "RGB"), tmp_path / "run",
                 "--set", "data.validation_size=8")  # fmt: skip
    words = ("--epochs", 1, "--set", "data.batch_size=8", "--out", tmp_path / "tuned")
    done = run_command("finetune", run, _write_pictures(tmp_path / "gray", "L"), *words)
    assert done.returncode == 0, done.stderr
    assert "gray images are read as RGB" in done.stdout
    assert load_run(tmp_path / "tuned").info["input_shape"] == [8, 8, 3]
