"""Every architecture by name, and its picture."""

import json
import subprocess
import sys

import pytest

from kmixer.config import loading, presets
from kmixer.errors import SettingsError
from kmixer.evaluation import figures, model_table
from kmixer.models import mixer_size
from kmixer.models.diagram import diagram
from kmixer.models.factory import build_model, with_patch_size


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("B/32", 60_293_428), ("b16", 59_880_472), ("L/16", 208_196_168), ("fmnist-mlp4", 583_010)],
)
def test_parameters_are_the_published_ones(name, parameters):
    assert model_table.architecture(name).describe()["parameters"] == parameters


@pytest.mark.parametrize("size", ["s32", "s16", "b32", "b16"])
def test_the_papers_presets_have_the_papers_sizes(size):
    model = loading.build_settings(presets.read_preset(f"cifar10-{size}")).model
    assert {key: getattr(model, key) for key in mixer_size(size)} == mixer_size(size)


def test_nano_is_small():
    assert model_table.architecture("cifar10-nano").describe()["parameters"] <= 700_000


@pytest.mark.backends
def test_the_largest_takes_no_memory_for_its_weights():
    model = model_table.architecture("h14").model
    assert model.count_params() > 4e8 and all(w._value is None for w in model.weights)


@pytest.mark.parametrize("name", model_table.architecture_names())
def test_every_architecture_is_described_and_drawn(name, tmp_path):
    found = model_table.architecture(name)
    facts = found.describe()
    assert facts["parameters"] > 0 and facts["flops"] > 0
    figures.save(diagram(found.model, name), tmp_path / "diagram.png")
    assert (tmp_path / "diagram.png").read_bytes().startswith(b"\x89PNG")
    if name in presets.preset_names() and facts["parameters"] < 5e6:  # others: tests/models
        settings = loading.build_settings(presets.read_preset(name))
        shape = tuple(facts["input_shape"])
        settings = with_patch_size(settings, *shape[:2])
        assert build_model(settings, shape, facts["classes"]).count_params() == facts["parameters"]


@pytest.mark.backends
def test_grids_and_boxes_by_hand():
    found = model_table.architecture("fmnist-best", classes=3)
    assert found.describe()["patch_grids"] == [[13, 13], [6, 6]]
    assert found.describe()["classes"] == 3
    texts = [text.get_text() for text in diagram(found.model, "title").axes[0].texts]
    assert "ShiftBlock (shift_block) × 3" in texts
    assert "norm → dense 144 → 432 → gelu_tanh → shift → dense 432 → 144 → + skip" in texts
    assert model_table.architecture("b16", 448).describe()["patch_grids"] == [[28, 28]]
    mixed = 12 * (196 * 384 * 768 + 768 * 3072 * 196) * 2  # multiply-adds of both MLPs of 12 blocks
    stem_and_head = 196 * 16 * 16 * 3 * 768 + 768 * 1000
    assert model_table.architecture("b16").describe()["flops"] == 2 * (mixed + stem_and_head)


def test_unknown_names_and_images_that_do_not_fit():
    with pytest.raises(SettingsError, match=r"model: received 'b17'.*nearest: 'b16'"):
        model_table.architecture("b17")
    with pytest.raises(SettingsError, match="16 does not fit an image side of 100"):
        model_table.architecture("b16", 100)


def test_the_command_lists_what_fits_and_says_what_does_not(run_command, monkeypatch):
    monkeypatch.setattr(model_table, "architecture_names", lambda: ["b16", "fmnist"])
    done = run_command("models", "--image-size", "100", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)["models"]}
    assert set(rows) == {"b16", "fmnist"}
    assert "does not fit" in rows["b16"]["misfit"]
    assert rows["fmnist"]["input_shape"] == [100, 100, 1]


def test_the_whole_list_is_shown_without_keras():
    code = (
        "import sys, kmixer_cli.main as m\nsys.modules['keras'] = None\n"
        "try: m.main(['models', '--json'])\nexcept SystemExit: pass"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rows = json.loads(done.stdout)["models"]
    assert [row["name"] for row in rows] == model_table.architecture_names()


@pytest.mark.parametrize(
    ("words", "parameters"),
    [(("fmnist",), "152,146"), (("b16", "--image-size", 224, "--classes", 1000), "59,880,472")],
)
def test_the_command_shows_a_model_and_draws_it(run_command, tmp_path, words, parameters):
    done = run_command("models", *words, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.count(parameters) == 2
    assert "stem (Conv2D)" in done.stdout
    assert (tmp_path / f"{words[0]}.png").is_file()
