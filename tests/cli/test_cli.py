"""Every command as a user meets it: a process, its words, its exit code, its files."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kmixer_cli.main import app

from folders import write_classes, write_image
from subprocess_usage import kmixer, python
from tiny_settings import tiny_flags

ROOT = Path(__file__).parent.parent.parent

TINY = [
    "--patch-size", "4", "--blocks", "1", "--hidden-dim", "4", "--tokens-mlp-dim", "2",
    "--channels-mlp-dim", "4", "--batch-size", "16", "--no-jit", "--set", "data.validation_size=20",
]  # fmt: skip


def commands():
    """The words of every command, read off the app itself."""
    names = [[c.name or c.callback.__name__] for c in app.registered_commands]
    for group in app.registered_groups:
        for command in group.typer_instance.registered_commands:
            names.append([group.name, command.name or command.callback.__name__])
    return names


@pytest.fixture(scope="module")
def trained(kmixer_cli, image_folder, tmp_path_factory):
    cwd = tmp_path_factory.mktemp("work")
    done = kmixer_cli("train", image_folder, *TINY, "--epochs", "2", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return cwd, done


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example_and_stands_in_the_guide(run_command, words):
    done = run_command(*words, "--help")
    assert done.returncode == 0
    text = " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.stdout).split())
    assert f"Example: kmixer {' '.join(words)}" in text
    assert f"kmixer {' '.join(words)}" in (ROOT / "docs" / "guide.md").read_text()


def test_help_comes_at_once(tmp_path):
    """It takes little more than the import of what prints it, on any machine."""
    here = tmp_path / "here"
    here.mkdir()
    printing = min(python(["-c", "import typer.rich_utils"], here).seconds for _ in range(3))
    assert min(kmixer(["--help"], here).seconds for _ in range(3)) < 2.5 * printing


def test_version(run_command):
    from kmixer import __version__

    assert run_command("--version").stdout == f"kmixer {__version__}\n"


def test_train_prints_a_line_an_epoch_and_a_closing_table(trained):
    cwd, done = trained
    lines = done.stdout.splitlines()
    assert len([line for line in lines if line.startswith("epoch ")]) == 2
    assert any(line.startswith("backend ") and "Keras" in line for line in lines)
    assert "test" in done.stdout and "saved_models/halves-1" in done.stdout
    assert done.stderr == ""
    assert (cwd / "saved_models" / "halves-1" / "metrics.json").is_file()
    config = (cwd / "saved_models" / "halves-1" / "config.yaml").read_text()
    assert config.startswith("# kmixer ")


@pytest.mark.whole
def test_the_closing_scores_name_the_classes_that_they_do_not_count(run_command, tmp_path):
    folder = write_classes(tmp_path / "photos", "cat", "dog", count=20)
    write_image(folder / "owl" / "0.png")
    words = tiny_flags(training={"epochs": 1})
    done = run_command("train", folder, *words, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "every class with test images (not 'owl') counting the same, best" in done.stdout


def test_json_is_one_object_on_stdout(run_command, image_folder, tmp_path):
    done = run_command("train", image_folder, *TINY, "--epochs", "1", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["epochs"] == 1
    assert "epoch 1/1" in done.stderr


def test_quiet_says_nothing(run_command, image_folder, tmp_path):
    done = run_command(
        "train", image_folder, *TINY, "--epochs", "1", "-q", "--out", tmp_path / "r", cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "r" / "model.keras").is_file()


def test_evaluate_writes_figures_and_pictures(run_command, trained):
    cwd, _ = trained
    done = run_command("evaluate", "saved_models/halves-1", "--json", cwd=cwd)
    figures = json.loads(done.stdout)
    assert figures["examples"] == 40 and set(figures["per_class"]) == {"above", "below"}
    assert (
        figures["accuracy"]
        == json.loads((cwd / "saved_models" / "halves-1" / "metrics.json").read_text())["best"][
            "test"
        ]["accuracy"]
    )
    folder = cwd / figures["folder"]
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "metrics.json", "confusion_matrix.png", "reliability.png", "mistakes.png", "mistakes.csv",
    }  # fmt: skip
    assert "accuracy" in run_command("evaluate", "saved_models/halves-1", cwd=cwd).stdout


def test_evaluate_refuses_another_kind_of_data(run_command, trained):
    cwd, _ = trained
    done = run_command("evaluate", "saved_models/halves-1", "fmnist", cwd=cwd)
    assert done.returncode == 2 and "the images of fmnist are 28×28" in done.stderr


@pytest.mark.whole
def test_train_from_a_runs_config(run_command, trained, image_folder):
    cwd, _ = trained
    done = run_command(
        "train",
        image_folder,
        "--config",
        "saved_models/halves-1/config.yaml",
        "--name",
        "again",
        cwd=cwd,
    )
    assert done.returncode == 0
    first, again = (
        [
            line.split(",")[3:]
            for line in (cwd / "saved_models" / n / "history.csv").read_text().split()
        ]
        for n in ("halves-1", "again")
    )
    assert len(first) == 3 and first == again


@pytest.mark.whole
def test_ctrl_c_and_sigterm_save_and_say_how_to_resume(run_command, image_folder, tmp_path):
    command = [sys.executable, "-m", "kmixer_cli", "train", str(image_folder), *TINY,
               "--epochs", "2000", "--name"]  # fmt: skip
    numbers = {"int": signal.SIGINT, "term": signal.SIGTERM}
    processes = {
        name: subprocess.Popen(
            [*command, name],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in numbers
    }
    for name, process in processes.items():
        next(line for line in process.stdout if line.startswith("epoch"))
        process.send_signal(numbers[name])
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 128 + numbers[name]
        assert f"go on with: kmixer resume saved_models/{name}" in errors
    config = tmp_path / "saved_models" / "int" / "config.yaml"
    rows = len((config.parent / "history.csv").read_text().splitlines()) - 1
    with subprocess.Popen(
        [sys.executable, "-m", "kmixer_cli", "resume", "saved_models/int"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        line = next(line for line in process.stdout if line.startswith("epoch"))
        process.terminate()
    assert re.match(rf"epoch +{rows + 1}/2000", line), line
    config.write_text(config.read_text().replace("epochs: 2000", "epochs: 3000"))
    done = run_command("resume", "saved_models/int", cwd=tmp_path)
    assert done.returncode == 1 and "training.epochs" in done.stderr


def test_divergence_in_the_only_step_exits_3(run_command, image_folder, tmp_path):
    done = run_command(
        "train", image_folder, *TINY, "--epochs", "1", "--batch-size", "100", "--optimizer", "sgd",
        "--learning-rate", "1e30", "--schedule", "constant", "--out", tmp_path / "run", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 3 and "in epoch 1, validation" in done.stderr
    assert not (tmp_path / "run" / "model.keras").exists()


def test_bare_kmixer_prints_help(run_command):
    done = run_command()
    assert done.returncode == 2 and "Usage: kmixer" in done.stdout + done.stderr
    assert "kmixer: " not in done.stderr


def test_divergence_exits_3(run_command, image_folder, tmp_path):
    done = run_command(
        "train", image_folder, *TINY, "--epochs", "3", "--optimizer", "sgd", "--learning-rate", "1e30",
        "--schedule", "constant", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr.startswith("kmixer: diverged: the loss is") and done.stderr.count("\n") == 1


def test_data_list_and_info(run_command, image_folder):
    assert "fmnist" in run_command("data", "list").stdout
    done = run_command("data", "info", image_folder, "--json")
    facts = json.loads(done.stdout)
    assert facts["counts"]["train"] == {"above": 60, "below": 60}
    assert facts["image_shape"] == [8, 8, 1] and facts["duplicates"]["exact"] == 0
    assert "source:" in run_command("data", "info", image_folder, "--no-duplicates").stdout


def test_data_show_writes_a_png(run_command, tmp_path):
    done = run_command(
        "data", "show", "fmnist", "--out", tmp_path / "a.png", "--count", 4, "--json"
    )
    assert len(json.loads(done.stdout)["rows"]) == 9
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    show = ("data", "show", "fmnist", "--out", tmp_path / "b.png", "--json")
    for words, rows in (
        (("--preset", "fmnist-pyramid"), ["original", "RandomResizedCrop"]),
        (("--set", "augment={horizontal_flip: 1}"), ["original", "RandomHorizontalFlip"]),
        (
            ("--preset", "cifar10-s32", "--set", "augment.horizontal_flip=0"),
            ["original", "RandomTranslation", "resized and cropped"],
        ),
        (("--set", "data.validation_size=100"), json.loads(done.stdout)["rows"]),
    ):
        assert json.loads(run_command(*show, *words).stdout)["rows"] == rows, words


def test_presets_are_listed_and_printed(run_command):
    assert "fmnist-pyramid" in run_command("presets").stdout
    shown = run_command("presets", "fmnist-pyramid").stdout
    assert shown == (ROOT / "configs" / "fmnist-pyramid.yaml").read_text()


@pytest.mark.whole
def test_benchmark_keeps_the_fastest_precision(run_command, image_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("KMIXER_CACHE", str(tmp_path))
    done = run_command("benchmark", image_folder, "--tune-machine", "--json", *tiny_flags())
    shown = json.loads(done.stdout)
    assert set(shown["rates"]) == {"float32", "mixed_bfloat16"} and shown["jit"] is False
    assert min(shown["rates"].values()) > 0 and shown["precision"] in shown["rates"]
    (kept,) = json.loads((tmp_path / "measured-rates.json").read_text()).values()
    assert kept == shown["rates"]


@pytest.mark.slow
def test_benchmark_measures(kmixer_cli):
    done = kmixer_cli("benchmark", "fmnist", "--steps", 10, "--json", timeout=600)
    report = json.loads(done.stdout)
    assert set(report["ratios"]) >= {
        "train_over_step",
        "train_over_plain_keras",
        "step_over_matmul",
        "step_over_backend_matmul",
        "pipeline_over_train",
        "accelerator_over_host",
        "rand_augment_over_keras",
    }
    assert report["ratios"]["rand_augment_over_keras"] >= 5
    assert all(rate > 0 for rate in report["rates"].values())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("train", 2, "Missing argument"),
        ("train fmist", 2, "data set 'fmist': no such name and no such folder (nearest: 'fmnist'"),
        ("train fmnist --blcks 2", 2, "No such option: --blcks"),
        ("train fmnist --blocks two", 2, "model.blocks: received 'two', expected integer"),
        ("train fmnist --epochs true", 2, "training.epochs: received True, expected integer"),
        ("train fmnist --image-size 32", 2, "data.image_size: received 32, expected 28"),
        (
            "train fmnist --set model.skip_connections=no",
            2,
            "received 'no', expected true or false",
        ),
        ("train fmnist --blocks 0", 2, "model.blocks: received 0, expected greater than"),
        ("train fmnist --optimizer addam", 2, "received 'addam', no such choice (nearest: 'adam'"),
        ("train fmnist --schedule linear", 2, "schedule.name: received 'linear'"),
        ("train fmnist --preset fmnist-pyramdi", 2, "no such preset (nearest: 'fmnist-pyramid'"),
        ("train fmnist --config nowhere.yaml", 2, "nowhere.yaml: cannot be read: No such file"),
        (
            "train fmnist --set model.blokcs=2",
            2,
            "model.blokcs: no such setting (nearest: 'blocks'",
        ),
        ("train fmnist --set x", 2, "expected path.to.key=value"),
        ("train fmnist --set plateau.patience=3", 2, "ReduceLROnPlateau cannot change"),
        ("train fmnist --backend tensorfow", 2, "training.backend: received 'tensorfow'"),
        ("train fmnist --patch-size 8 --patch-stride 8", 2, "the nearest that divide it: 2, 4, 7"),
        ("evaluate nowhere", 1, "nowhere: not a run folder"),
        ("evaluate nowhere --split tset", 2, "--split: received 'tset' (nearest: 'test'"),
        ("resume nowhere", 1, "nowhere: not a run folder"),
        ("presets fmnst", 2, "preset: received 'fmnst', no such preset (nearest: 'fmnist'"),
        ("data info tfds:nonsense_set", 1, "tfds:nonsense_set: no such data set"),
        ("data info nowhere", 2, "data set 'nowhere': no such name"),
        ("trian", 2, "No such command 'trian'"),
    ],
)
def test_errors_are_one_line_with_the_right_code(run_command, tmp_path, arguments, code, message):
    done = run_command(*arguments.split(), cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("kmixer: ")
    assert "Traceback" not in done.stderr + done.stdout
    assert not list(tmp_path.iterdir())


def test_debug_shows_the_traceback(run_command):
    assert "Traceback" in run_command("evaluate", "nowhere", "--debug").stderr
