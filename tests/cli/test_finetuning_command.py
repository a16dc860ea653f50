"""`kmixer finetune` as it is typed."""

import yaml
from PIL import Image

from tiny_settings import tiny_flags


def _train(run_command, folder, out, *more):
    words = [*tiny_flags(training={"epochs": 1}), *more]
    done = run_command("train", folder, *words, "--out", out, "--quiet")
    assert done.returncode == 0, done.stderr
    return out


def test_its_settings_are_the_runs_the_files_and_the_flags(run_command, image_folder, tmp_path):
    run = _train(run_command, image_folder, tmp_path / "run")
    before = yaml.safe_load((run / "config.yaml").read_text())
    recipe = yaml.safe_load((run / "config.yaml").read_text())
    recipe["data"]["mean"] = [0.9]
    recipe["finetune"] = {"run": "elsewhere", "freeze": ["stem"], "layer_decay": 0.9}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    tuned = run_command(
        "finetune", run, image_folder, "--config", tmp_path / "recipe.yaml", "--layer-decay", 0.5,
        "--freeze", "stem, blocks.0", "--image-size", 12, "--out", tmp_path / "tuned", "--quiet",
    )  # fmt: skip
    assert tuned.returncode == 0, tuned.stderr
    after = yaml.safe_load((tmp_path / "tuned" / "config.yaml").read_text())
    assert after["finetune"] == {
        "run": str(run), "freeze": ["stem", "blocks.0"], "layer_decay": 0.5,
    }  # fmt: skip
    assert after["data"]["mean"] == before["data"]["mean"] != [0.9]
    assert after["data"]["resize_size"] == 12 and after["data"]["batch_size"] == 16


def test_gray_and_color_do_not_mix(run_command, trained_run, tmp_path):
    for label in "ab":
        (tmp_path / "color" / label).mkdir(parents=True)
        for index in range(20):
            picture = Image.new("RGB", (8, 8), (index, 9, 200))
            picture.save(tmp_path / "color" / label / f"{index}.png")
    refused = run_command(
        "finetune", trained_run.folder, tmp_path / "color", "--out", tmp_path / "tuned"
    )
    assert refused.returncode == 2
    assert "received images of 3 channels (1: grey, 3: colour), expected 1" in refused.stderr
    assert not (tmp_path / "tuned").exists()
