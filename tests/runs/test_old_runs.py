"""Runs of each format that there has been: read, evaluated, compared and resumed."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml

import tiny_dataset
from kmixer.data.sources import image_folder
from kmixer.errors import KmixerError
from kmixer.runs.asked import remember_asked
from kmixer.runs.run import FORMAT, load_run

RUNS = Path(__file__).parent
FINISHED = sorted(path.name for path in RUNS.glob("format-*") if path.name.count("-") == 1)
UNFINISHED = sorted(path.name for path in RUNS.glob("format-*-unfinished"))

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the runs were trained on TensorFlow"
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A function that copies a run of this folder beside the images that it was trained on."""
    tiny_dataset.write_images(tmp_path / "halves")
    monkeypatch.chdir(tmp_path)

    def put(name):
        folder = shutil.copytree(RUNS / name, tmp_path / name)
        remember_asked(load_run(folder).settings)  # or its images are not opened
        return folder, json.loads((RUNS / name / "expected.json").read_text())

    return put


def test_each_format_has_a_run_here_and_none_holds_a_path_of_its_maker():
    now = f"format-{FORMAT}"
    assert now in FINISHED and f"{now}-unfinished" in UNFINISHED, "run: python tests/runs/make.py"
    for name in (*FINISHED, *UNFINISHED):
        for file in (RUNS / name).rglob("*"):
            assert b"/tmp/" not in file.read_bytes() and b"/home/" not in file.read_bytes(), file


@pytest.mark.parametrize("name", FINISHED)
def test_a_finished_run_predicts_what_it_predicted_then(place, name, saw):
    folder, expected = place(name)
    run = load_run(folder)
    assert run.finished and run.class_names == ("above", "below")
    assert run.history == expected["history"] and run.metrics == expected["metrics"]
    images = image_folder.load("halves").test.images[::10]
    probabilities = run.predict(images)
    assert np.abs(probabilities - expected["probabilities"]).max() < 1e-5
    logits = run.load_model().predict(images, verbose=0)
    assert np.array_equal(logits.argmax(1), probabilities.argmax(1))
    saw("old runs", f"formats {', '.join(n.removeprefix('format-') for n in FINISHED)} read, "
        "probabilities as then to 1e-5; format 99 refused")  # fmt: skip


@pytest.mark.parametrize("name", FINISHED)
def test_the_commands_take_a_finished_run(place, name, run_command):
    folder, expected = place(name)
    evaluated = run_command("evaluate", folder, "--json")
    assert evaluated.returncode == 0, evaluated.stderr
    assert json.loads(evaluated.stdout)["loss"] == pytest.approx(
        expected["metrics"]["best"]["test"]["loss"], abs=1e-5
    )
    predicted = run_command("predict", folder, "halves/test/below/000.png", "--json")
    assert predicted.returncode == 0, predicted.stderr
    assert json.loads(predicted.stdout)["images"][0]["classes"][0]["class"] == "below"
    compared = run_command("compare", folder, "--csv", "table.csv", env={"COLUMNS": "200"})
    assert compared.returncode == 0 and name in compared.stdout, compared.stderr


@pytest.mark.whole
@pytest.mark.parametrize("name", UNFINISHED)
def test_an_unfinished_run_is_resumed_as_it_would_have_been_then(place, name, run_command):
    folder, expected = place(name)
    begun = load_run(folder).history
    assert len(begun) < len(expected["history"])
    done = run_command("resume", folder)
    assert done.returncode == 0, done.stderr
    run = load_run(folder)
    assert run.finished and run.history[: len(begun)] == begun
    for key in ("epoch", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy"):
        ended, then = ([row[key] for row in rows] for rows in (run.history, expected["history"]))
        assert ended == pytest.approx(then, abs=1e-3), key


def _later_format(values):
    values["run"]["format"] = 99


def _later_key(values):
    values["model"]["experts"] = 8


def _later_model(values):
    values["model"]["name"] = "mixer_of_experts"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_later_format, "run format 99, this kmixer reads"),
        (_later_key, "config.yaml, perhaps of another version: model.experts"),
        (_later_model, "config.yaml, perhaps of another version: model.name"),
    ],
)
@pytest.mark.parametrize("name", [FINISHED[-1], UNFINISHED[-1]])
def test_a_run_of_a_later_version_is_refused_in_one_line(place, name, change, message):
    folder, _ = place(name)
    values = yaml.safe_load((folder / "config.yaml").read_text())
    change(values)
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(KmixerError, match=message) as caught:
        load_run(folder)
    assert "\n" not in str(caught.value)
