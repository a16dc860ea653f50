"""The speed run: measured, gone on with, missed, and what its page makes of it."""

import dataclasses
import json
import runpy
import shutil
from pathlib import Path

import pytest
from kmixer_cli import speedrun as cli_speedrun

from kmixer.config import loading, presets
from kmixer.errors import InterruptedRunError, RunError
from kmixer.runs.run import load_run
from kmixer.tuning import speed_recipes, speedrun
from tiny_settings import tiny_flags

ROOT = Path(__file__).parent.parent.parent
MARKS = [(dataset, mark) for dataset, marks in speed_recipes.all_marks().items() for mark in marks]
PAGE = runpy.run_path(str(ROOT / "docs" / "generate" / "speedrun_page.py"))["speedrun_page"]


@pytest.fixture
def trained(monkeypatch):
    """The words of the trainings; each is a copy of a finished run with 90.57 % on the test set."""
    words = []

    def run_kmixer(asked, folder):
        words.append(asked)
        out = Path(asked[asked.index("--out") + 1])
        shutil.copytree(ROOT / "docs" / "runs" / "fmnist-fast-seed0", out)
        return 0

    monkeypatch.setattr("kmixer_cli.speedrun.run_kmixer", run_kmixer)
    return words


def seeds_of(words):
    return [word for training in words for word in training if word.startswith("training.seed=")]


@pytest.mark.parametrize(("dataset", "mark"), MARKS)
def test_a_recipe_is_a_preset_and_what_differs_from_it(dataset, mark):
    recipe = speed_recipes.read_recipe(dataset, mark)
    preset = presets.read_preset(recipe.preset)
    layers = [loading.parse_assignment(text) for text in recipe.assignments]
    assert loading.build_settings(preset, *layers).data.name == dataset


def test_the_marks_are_those_of_the_rules():
    assert speed_recipes.all_marks() == {"cifar10": [80, 85, 88], "fmnist": [90, 91, 92, 93]}


def test_lists_and_empty_sections_of_a_recipe_are_words_of_the_command_line():
    values = {"augment": {"cutmix": {}}, "model": {"stages": [{"dim": 32}]}, "plateau": None}
    texts = list(speed_recipes.assignments(values))
    assert texts == ["augment.cutmix={}", 'model.stages=[{"dim": 32}]', "plateau=null"]


def test_every_seed_of_every_mark_is_trained_by_its_recipe(run_command, trained, tmp_path):
    words = ("speedrun", "fmnist", "--mark", "90", "--mark", "91", "--seeds", "2", "--json")
    done = run_command(*words, cwd=tmp_path)
    assert done.returncode == 1  # 91 % is missed
    assert seeds_of(trained) == ["training.seed=0", "training.seed=1"] * 2
    assert trained[0][:4] == ["train", "fmnist", "--preset", "fmnist-fast"]
    report = json.loads(done.stdout)
    reached, missed = report["marks"]
    assert (reached["mark"], reached["reached"], reached["accuracy_mean"]) == (90, True, 0.9057)
    assert (missed["mark"], missed["reached"]) == (91, False)
    assert "fmnist: not reached by the mean of 2 seeds: 91 % (90.57 %)" in done.stderr
    assert reached["command"].startswith("kmixer train fmnist --preset fmnist-fast --set ")
    assert [seed["seed"] for seed in reached["seeds"]] == [0, 1]
    assert "90 %  seed 1  90.57 % in 0." in done.stderr


def test_the_same_command_goes_on_with_what_is_not_measured(
    run_command, trained, tmp_path, monkeypatch
):
    words = ["speedrun", "--mark", "90", "--seeds", "2"]
    assert run_command(*words, cwd=tmp_path).returncode == 0
    folder = tmp_path / "saved_models" / "fmnist-speedrun"
    speedrun.record(folder, "90-seed0", 12.5)
    speedrun.record(folder, "90-seed1", None)  # killed before it was recorded
    (folder / "90-seed1" / "left.txt").touch()
    trained.clear()
    words[-1] = "3"
    done = run_command(*words, cwd=tmp_path)
    assert done.returncode == 0 and "90 %  seed 0  90.57 % in 12.5 s" in done.stdout
    assert seeds_of(trained) == ["training.seed=1", "training.seed=2"]
    assert not (folder / "90-seed1" / "left.txt").exists()
    changed = run_command(*words, "--set", "training.epochs=9", cwd=tmp_path)
    assert changed.returncode == 2 and "begun with training.epochs" in changed.stderr
    assert "another --name" in changed.stderr and len(trained) == 2


def test_an_interrupted_training_begins_anew(run_command, trained, tmp_path, monkeypatch):
    def interrupted(asked, folder):
        (folder / "90-seed0").mkdir()
        raise InterruptedRunError("interrupted", 2)

    words = ("speedrun", "--mark", "90", "--seeds", "1")
    with monkeypatch.context() as patch:
        patch.setattr("kmixer_cli.speedrun.run_kmixer", interrupted)
        assert run_command(*words, cwd=tmp_path).returncode == 130
    folder = tmp_path / "saved_models" / "fmnist-speedrun"
    assert speedrun.read_seconds(folder) == {"90-seed0": None}
    assert run_command(*words, cwd=tmp_path).returncode == 0 and len(trained) == 1


@pytest.fixture
def mirrored(monkeypatch):
    """The mark of 90 % counts each image and its mirror image."""
    recipe = speed_recipes.read_recipe("fmnist", 90)
    flips = dataclasses.replace(recipe, flip_averaging=True)
    monkeypatch.setattr(speedrun, "read_recipe", lambda dataset, mark: flips)


@pytest.fixture
def evaluated(monkeypatch, trained):
    """The words of the trainings and evaluations; with mirror images 91.25 % are right."""
    copy = cli_speedrun.run_kmixer

    def run_kmixer(asked, folder):
        if asked[0] == "train":
            return copy(asked, folder)
        trained.append(asked)
        out = Path(asked[asked.index("--out") + 1])
        out.mkdir(parents=True)
        (out / "metrics.json").write_text('{"accuracy": 0.9125}')
        return 0

    monkeypatch.setattr(cli_speedrun, "run_kmixer", run_kmixer)
    return trained


def test_a_recipe_counts_mirror_images_and_the_seconds_that_they_take(
    run_command, mirrored, evaluated, tmp_path
):
    words = ("speedrun", "--mark", "90", "--seeds", "1", "--json")
    done = run_command(*words, cwd=tmp_path)
    [row] = json.loads(done.stdout)["marks"]
    assert [asked[0] for asked in evaluated] == ["train", "evaluate"]
    assert "--flip-averaging" in evaluated[1] and row["seeds"][0]["accuracy"] == 0.9125
    assert row["command"].endswith("&& kmixer evaluate RUN --flip-averaging")
    assert run_command(*words, cwd=tmp_path).returncode == 0 and len(evaluated) == 2


def test_a_training_whose_mirror_images_were_not_counted_begins_anew(
    run_command, evaluated, tmp_path, request
):
    words = ("speedrun", "--mark", "90", "--seeds", "1")
    assert run_command(*words, cwd=tmp_path).returncode == 0 and len(evaluated) == 1
    request.getfixturevalue("mirrored")
    assert "91.25 %" in run_command(*words, cwd=tmp_path).stdout
    assert [asked[0] for asked in evaluated] == ["train", "train", "evaluate"]


def test_another_recipe_is_tried_for_a_mark(run_command, trained, tmp_path):
    words = ("speedrun", "--mark", "90", "--seeds", "1", "--preset", "fmnist-fast")
    done = run_command(*words, "--set", "training.epochs=3", cwd=tmp_path)
    assert done.returncode == 0
    typed = "train fmnist --preset fmnist-fast --set training.epochs=3 --set training.seed=0"
    assert " ".join(trained[0]).startswith(typed)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fmnist", "--mark", "95"], "--mark: received 95, expected one of fmnist: 90, 91, 92, 93"),
        (["photos"], "data set: received 'photos', expected one that has marks: cifar10, fmnist"),
        (["--mark", "ninety"], "Invalid value for '--mark'"),
        (["--set", "model.blcks=1"], "model.blcks: no such setting"),
        (["--seeds", "0"], "Invalid value for '--seeds'"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_written(run_command, tmp_path, words, message):
    done = run_command("speedrun", *words, cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not list(tmp_path.iterdir())


def test_a_training_that_fails_ends_the_speed_run(run_command, tmp_path, monkeypatch):
    monkeypatch.setattr("kmixer_cli.speedrun.run_kmixer", lambda words, folder: 3)
    done = run_command("speedrun", "--mark", "90", cwd=tmp_path)
    assert done.returncode == 1 and "90-seed0: the training failed (exit code 3)" in done.stderr


def test_a_folder_of_somebody_elses_is_not_removed(tmp_path):
    (tmp_path / "90-seed0").mkdir()
    with pytest.raises(RunError, match="not of this speed run; move it away"):
        speedrun.begin(tmp_path, "90-seed0")
    assert (tmp_path / "90-seed0").is_dir()


@pytest.mark.parametrize("text", ["[]", '{"90-seed0": "fast"}', '{"90-seed0": -1}', "{", "null"])
def test_a_damaged_record_is_told(tmp_path, text):
    (tmp_path / "speedrun.json").write_text(text)
    with pytest.raises(RunError, match="damaged, expected seconds by the names of runs"):
        speedrun.read_seconds(tmp_path)


@pytest.mark.slow
def test_the_seconds_are_those_of_the_whole_process(run_command, tmp_path):
    """One real process: it takes longer than its training, and its run says what was typed."""
    flags = tiny_flags(training={"epochs": 1}, data={"train_per_class": 20, "batch_size": 100})
    words = ("speedrun", "--mark", "91", "--seeds", "1", "--preset", "fmnist", *flags, "--json")
    done = run_command(
        *words, "--set", "model.patch_stride=null", "--set", "model.patch_size=14", cwd=tmp_path
    )
    assert done.returncode == 1 and "not reached" in done.stderr
    report = json.loads(done.stdout)
    run = load_run(tmp_path / "saved_models" / "fmnist-speedrun" / "91-seed0")
    seed = report["marks"][0]["seeds"][0]
    assert seed["seconds"] > run.metrics["seconds"]
    assert seed["accuracy"] == run.metrics["best"]["test"]["accuracy"]
    assert run.info["command"].startswith(report["marks"][0]["command"])
    assert report["device"] == run.info["device"]
    assert report["threads"] == str(run.info["conditions"]["threads"])


def test_the_page_has_what_was_measured_and_names_what_was_not(run_command, trained, tmp_path):
    assert "Not measured yet on `fmnist`: 90 %, 91 %, 92 %, 93 %." in PAGE(tmp_path)
    words = ("speedrun", "--mark", "90", "--mark", "92", "--json")
    done = run_command(*words, cwd=tmp_path)
    (tmp_path / "speedrun-fmnist.json").write_text(done.stdout)
    page = PAGE(tmp_path)
    assert "(90.57 90.57 90.57 90.57 90.57) | yes | `kmixer train fmnist --preset" in page
    assert " | no | `kmixer train fmnist" in page
    assert "Not measured yet on `fmnist`: 91 %, 93 %." in page


def test_too_few_seeds_are_told_on_the_page(run_command, trained, tmp_path):
    done = run_command("speedrun", "--mark", "90", "--seeds", "2", "--json", cwd=tmp_path)
    (tmp_path / "speedrun-fmnist.json").write_text(done.stdout)
    assert "yes, but 2 of 5 seeds" in PAGE(tmp_path)
