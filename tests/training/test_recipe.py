"""Which preset and which start an image folder gets where none is named."""

import pytest

from kmixer.config import loading, presets
from kmixer.errors import SettingsError
from kmixer.runs.starts import resolve_start
from kmixer.training import recipe
from kmixer.training.recipe import START, Recipe, choose_recipe, named_recipe


@pytest.fixture
def colors(tmp_path):
    from PIL import Image

    for label, color in (("a", (200, 10, 10)), ("b", (10, 200, 10))):
        (tmp_path / "colors" / label).mkdir(parents=True)
        for index in range(6):
            Image.new("RGB", (8, 8), color).save(tmp_path / "colors" / label / f"{index}.png")
    return str(tmp_path / "colors")


def test_few_color_images_begin_with_the_shipped_start(colors):
    chosen = choose_recipe(colors, None, [])
    assert (chosen.preset, chosen.start) == ("photos", START)
    assert chosen.reason == f"12 color images are few: from {START}"


def test_many_images_and_gray_ones_are_trained_from_scratch(colors, image_folder, monkeypatch):
    gray = choose_recipe(str(image_folder), None, [])
    assert (gray.preset, gray.start, gray.reason) == ("photos-scratch", None, "gray images")
    monkeypatch.setattr(recipe, "MOST_IMAGES", 11)
    many = choose_recipe(colors, None, [])
    assert (many.preset, many.reason) == ("photos-scratch", "12 images: enough to learn from")


@pytest.mark.parametrize(
    ("changed", "preset"),
    [
        (["model.blocks", "training.epochs"], "photos-mixer"),
        (["model.patch_size"], "photos-mixer"),
        (["model"], "photos-mixer"),  # --set 'model={name: mlp}'
        (["model.stochastic_depth"], "photos-scratch"),
        (["training.epochs"], "photos"),
    ],
)
def test_a_setting_of_a_model_chooses_the_preset_with_that_model(colors, changed, preset):
    assert choose_recipe(colors, None, changed).preset == preset


def test_what_is_named_is_taken(colors):
    assert choose_recipe(colors, "mixer-b16", []) == Recipe("photos", "mixer-b16")
    assert choose_recipe("fmnist", None, []) == Recipe(None)
    assert choose_recipe("fmnist", "mixer-b16", []) == Recipe("finetune", "mixer-b16")
    with pytest.raises(SettingsError, match="no such name and no such folder"):
        choose_recipe("fmnits", None, [])


@pytest.mark.parametrize("name", presets.FOLDER_PRESETS)
def test_a_folder_preset_leaves_open_what_the_images_decide(name):
    base = resolve_start(START).start_settings() if name == "photos" else {}
    settings = loading.build_settings(presets.read_preset(name), base)
    assert settings.training.epochs is settings.data.batch_size is None
    assert settings.training.class_weights is None
    assert settings.model.name == ("mixer" if name == "photos-mixer" else "shift_mlp")


def test_the_preset_photos_has_the_model_and_the_pixels_of_its_start():
    named = loading.build_settings(presets.read_preset("photos"))
    based = loading.build_settings(
        presets.read_preset("photos"), resolve_start(START).start_settings()
    )
    assert (named.model, named.data) == (based.model, based.data)
    assert named.finetune.run == START
    assert named_recipe("photos", None) == Recipe("photos", START)
    assert named_recipe("photos-scratch", None) == Recipe("photos-scratch", None)
