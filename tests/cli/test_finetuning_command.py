"""`kmixer finetune` as it is typed, from runs of a minute ago."""

import yaml


def trained(kmixer_cli, folder, out, *more):
    done = kmixer_cli(
        "train", folder, "--epochs", 1, "--batch-size", 16, "--set", "data.validation_size=20",
        "--patch-size", 4, "--blocks", 2, "--hidden-dim", 8, "--no-jit", "--out", out, *more,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


def test_its_settings_are_the_runs_the_files_and_the_flags(kmixer_cli, image_folder, tmp_path):
    one = trained(kmixer_cli, image_folder, tmp_path / "one")
    other = trained(kmixer_cli, image_folder, tmp_path / "other", "--set", "data.mean=[0.9]")
    recipe = yaml.safe_load((other / "config.yaml").read_text())
    recipe["finetune"] = {"run": str(other), "freeze": ["stem"], "layer_decay": 0.9}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    tuned = kmixer_cli(
        "finetune", one, image_folder, "--config", tmp_path / "recipe.yaml", "--layer-decay", 0.5,
        "--freeze", "stem, blocks.0", "--image-size", 12, "--out", tmp_path / "tuned",
    )  # fmt: skip
    assert tuned.returncode == 0, tuned.stderr
    before, after = (
        yaml.safe_load((run / "config.yaml").read_text()) for run in (one, tmp_path / "tuned")
    )
    assert after["finetune"] == {
        "run": str(one), "freeze": ["stem", "blocks.0"], "layer_decay": 0.5,
    }  # fmt: skip
    assert after["data"]["mean"] == before["data"]["mean"] != [0.9]
    assert after["data"]["resize_size"] == 12 and after["data"]["batch_size"] == 16


def test_grey_and_colour_do_not_mix(kmixer_cli, image_folder, tmp_path):
    from PIL import Image

    grey = trained(kmixer_cli, image_folder, tmp_path / "grey")
    for label in "ab":
        (tmp_path / "colour" / label).mkdir(parents=True)
        for index in range(20):
            picture = Image.new("RGB", (8, 8), (index, 9, 200))
            picture.save(tmp_path / "colour" / label / f"{index}.png")
    refused = kmixer_cli("finetune", grey, tmp_path / "colour", "--out", tmp_path / "tuned")
    assert refused.returncode == 2
    assert "received images of 3 channels (1: grey, 3: colour), expected 1" in refused.stderr
    assert not (tmp_path / "tuned").exists()
