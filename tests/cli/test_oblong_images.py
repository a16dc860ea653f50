"""The commands on images of 16×64 pixels (height×width), one after the other."""

import json
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from changed_run import name_files
from in_process_export import without_processes
from kmixer import load_run
from kmixer.exporting.artifact import load_artifact
from one_process import run_here
from tiny_settings import tiny_flags

SIZE = (64, 16)  # as Pillow has it: (width, height)


@pytest.fixture(scope="module")
def spectrograms(tmp_path_factory):
    """Noise of one frequency or another: a bright row above or below."""
    folder = tmp_path_factory.mktemp("images") / "spectrograms"
    generator = np.random.default_rng(0)
    for label, row in (("high", 3), ("low", 12)):
        (folder / label).mkdir(parents=True)
        for index in range(40):
            pixels = generator.integers(0, 80, SIZE[::-1], dtype=np.uint8)
            pixels[row] = 250
            Image.fromarray(pixels).save(folder / label / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def trained(spectrograms, tmp_path_factory):
    """A run of one epoch, and what the command printed."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    flags = tiny_flags(training={"epochs": 1}, data={"validation_size": 8})
    done = run_here(["train", str(spectrograms), *flags, "--out", str(folder)])
    assert done.returncode == 0, done.stderr
    return load_run(folder), done.stdout


def answer(run_command, *words):
    done = run_command(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.whole
def test_a_folder_is_trained_evaluated_and_predicted_in_its_own_shape(
    run_command, spectrograms, trained
):
    run, said = trained
    assert "all images are 16×64 (height×width): the model is not square" in said
    assert run.info["input_shape"] == [16, 64, 1]
    scores = answer(run_command, "evaluate", run.folder)
    assert scores["accuracy"] == run.metrics["best"]["test"]["accuracy"]
    image = spectrograms / "high" / "0.png"
    pixels = np.asarray(Image.open(image))[None, ..., None]
    np.testing.assert_allclose(run.predict(image), run.predict(pixels))
    assert answer(run_command, "predict", run.folder, image)


@pytest.mark.whole
def test_a_fine_tuning_keeps_the_shape(run_command, spectrograms, trained, tmp_path):
    words = ("--epochs", 1, "--set", "data.batch_size=16", "--set", "data.validation_size=8")
    answer(
        run_command, "finetune", trained[0].folder, spectrograms, *words, "--out", tmp_path / "x"
    )
    assert load_run(tmp_path / "x").info["input_shape"] == [16, 64, 1]


@pytest.mark.whole
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the conversions run in processes of their own"
)
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_an_export_answers_files_of_other_shapes_as_the_run_does(
    run_command, trained, fit, tmp_path
):
    shutil.copytree(trained[0].folder, tmp_path / "run")
    run = load_run(tmp_path / "run")
    run = replace(run, settings=run.settings.changed(data={"fit": fit}))
    run.write_config()
    name_files(run)
    out = tmp_path / "export"
    with without_processes():
        done = run_command("export", run.folder, "--format", "saved_model", "--out", out)
    assert done.returncode == 0, done.stderr
    predict, _ = load_artifact(out / "saved_model").open()
    for width, height in ((64, 16), (30, 50), (200, 20)):
        y, x = np.mgrid[:height, :width]
        pixels = (60 + 2 * y + x % 50).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "other.png")
        found = predict(pixels[None, ..., None])
        np.testing.assert_allclose(found, run.predict(tmp_path / "other.png"), atol=5e-3)


@pytest.mark.parametrize(
    "words",
    [("train", "fmnist"), ("data", "info", "fmnist"), ("data", "show", "fmnist"), ("models",),
     ("finetune", "{run}", "fmnist")],
    ids=" ".join,
)  # fmt: skip
def test_a_size_that_is_none_is_one_line(run_command, trained_run, words):
    words = [word.format(run=trained_run.folder) for word in words]
    done = run_command(*words, "--image-size", "64x")
    assert done.returncode == 2
    assert done.stderr.strip().endswith(
        "--image-size: received '64x', expected a side such as 64, or HEIGHTxWIDTH such as 64x256"
    )
    if words[0] != "models":
        wrong = run_command(*words, "--fit", "squeeze")
        assert wrong.returncode == 2 and "fit: received 'squeeze', expected" in wrong.stderr


def test_data_info_and_show_take_both(run_command, spectrograms, tmp_path):
    facts = answer(
        run_command, "data", "info", spectrograms, "--image-size", "8x16", "--fit", "pad"
    )
    assert facts["image_shape"] == [8, 16, 1]
    out = tmp_path / "rows.png"
    answer(run_command, "data", "show", spectrograms, "--image-size", "16x32", "--fit", "stretch",
           "--count", 2, "--out", out)  # fmt: skip
    assert out.is_file()


def test_the_table_of_models_takes_a_height_and_a_width(run_command, tmp_path):
    facts = answer(run_command, "models", "s16", "--image-size", "64x256", "--classes", 2,
                   "--out", tmp_path / "s16.png")  # fmt: skip
    assert facts["input_shape"] == [64, 256, 3] and facts["patch_grids"] == [[4, 16]]
