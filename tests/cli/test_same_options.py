"""What all commands have in common: the options that set a setting, and how a run is named."""

import json
import shutil

import pytest

from kmixer.options import OPTIONS

FLAGS = {f"--{name.replace('_', '-')}" for name in OPTIONS}
OF_THE_MODEL = {
    f"--{name.replace('_', '-')}" for name, option in OPTIONS.items() if option.group == "Model"
}
WITHOUT = {
    "train": set(),
    "sweep": set(),
    "tune": set(),
    "finetune": OF_THE_MODEL,
    "benchmark": {"--epochs", "--class-weights", "--distribute", "--track"},
    "find-lr": {
        "--epochs",
        "--track",
        "--learning-rate",
        "--schedule",
        "--distribute",
        "--steps-per-execution",
    },
}


@pytest.mark.parametrize("command", WITHOUT)
def test_a_command_that_trains_has_every_option(command, run_command):
    text = run_command(command, "--help", env={"COLUMNS": "200"}).stdout
    words = set(text.replace("│", " ").split())
    assert words >= (FLAGS - WITHOUT[command]) | {"--backend", "--data-dir", "--set"}
    assert not words & WITHOUT[command]


def test_data_show_has_those_of_the_images(run_command):
    text = run_command("data", "show", "--help", env={"COLUMNS": "200"}).stdout
    assert "--image-size" in text and "--fit" in text and "--blocks" not in text


REFUSED = {
    "train": ["fmnist", "--epochs", "x"],
    "finetune": ["cifar10-shift", "fmnist", "--batch-size", "0"],
    "sweep": ["fmnist", "--grid", "model.blocks=1,2", "--learning-rate", "-1"],
    "tune": ["fmnist", "--precision", "float8"],
    "benchmark": ["fmnist", "--hidden-dim", "none"],
    "data": ["show", "fmnist", "--image-size", "8x"],
}


@pytest.mark.parametrize("command", REFUSED)
def test_a_bad_value_is_one_line_and_exit_code_2(command, run_command, tmp_path):
    done = run_command(command, *REFUSED[command], cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "received" in done.stderr and "expected" in done.stderr


@pytest.mark.parametrize(
    "words", [["train", "fmnist", "--set", "blocks=2"], ["sweep", "fmnist", "--grid", "blocks=2,4"]]
)
def test_a_short_name_in_a_path_is_told_what_it_is_short_for(words, run_command, tmp_path):
    done = run_command(*words, cwd=tmp_path)
    assert done.returncode == 2 and "(meant: 'model.blocks')" in done.stderr


def test_patches_larger_than_the_image_are_told_so(run_command, tmp_path):
    done = run_command("train", "fmnist", "--patch-size", "40", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.rstrip().endswith("it is larger than the image")


def test_the_search_space_is_json_where_that_is_asked_for(run_command):
    space = json.loads(run_command("tune", "--show-space", "--json").stdout)
    assert space["search"]["model.blocks"] == [1, 2, 4, 8]


def test_a_sweep_hands_its_options_on(image_folder, run_command, tmp_path, monkeypatch):
    """Each training is told them, and the grid wins over them."""
    from kmixer_cli import sweep as command

    given = {}

    def train_all(terminal, folder, commands, settings):
        given.update(commands, folder=folder)
        return dict.fromkeys(commands, 1)

    monkeypatch.setattr(command, "train_all", train_all)
    run_command(
        "sweep", image_folder, "--preset", "photos-mixer", "--epochs", "3", "--no-jit", "--backend",
        "tensorflow", "--grid", "training.seed=0,1", "--out", tmp_path / "grid",
    )  # fmt: skip
    assert given.pop("folder") == tmp_path / "grid" and len(given) == 2
    for number, training in enumerate(given.values()):
        text = " ".join(training.words)
        assert "--backend tensorflow --set training.epochs=3 --set training.jit=false" in text
        assert text.endswith(f"--set training.seed={number}")


@pytest.fixture
def home_of_runs(trained_run, tflite_export, tmp_path):
    """A folder with saved_models/one, a run with an export."""
    shutil.copytree(trained_run.folder, tmp_path / "saved_models" / "one")
    shutil.copytree(tflite_export.folder, tmp_path / "saved_models" / "one" / "export" / "tflite")
    return tmp_path


@pytest.mark.parametrize(
    "of_what", ["one", "saved_models/one", "saved_models/one/export/tflite",
                "saved_models/one/export/tflite/model.tflite"]
)  # fmt: skip
def test_images_are_classified_by_a_run_by_name_and_by_an_export(
    of_what, home_of_runs, run_command, trained_run
):
    image = "saved_models/one/example.png"
    done = run_command("predict", of_what, image, "--json", cwd=home_of_runs)
    [found] = json.loads(done.stdout)["images"]
    [expected] = trained_run.predict(home_of_runs / image)
    assert found["classes"][0]["class"] == trained_run.class_names[expected.argmax()]
    assert found["classes"][0]["probability"] == pytest.approx(expected.max(), abs=1e-4)


@pytest.mark.parametrize("words", [["evaluate"], ["compare"], ["report"]])
def test_a_run_is_found_by_its_name_alone(words, home_of_runs, run_command):
    done = run_command(*words, "one", "--json", cwd=home_of_runs)
    assert done.returncode == 0 and "one" in done.stdout, done.stderr


def test_a_run_may_be_called_like_its_folder_of_images(home_of_runs, run_command):
    (home_of_runs / "one").mkdir()
    done = run_command("predict", "one", "saved_models/one/example.png", cwd=home_of_runs)
    assert done.returncode == 0, done.stderr


def test_a_run_that_is_nowhere_is_told(home_of_runs, run_command):
    done = run_command("predict", "two", "x.png", cwd=home_of_runs)
    assert done.returncode == 1 and done.stderr.startswith("kmixer: two: not a run folder")
