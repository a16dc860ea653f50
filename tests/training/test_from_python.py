"""`kmixer.train` as a notebook calls it: what it prints, Keras' own callbacks, Keras' own loading."""

import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

import kmixer
from kmixer.errors import SettingsError

OWN = {
    "ProgbarLogger": lambda folder: keras.callbacks.ProgbarLogger(),
    "CSVLogger": lambda folder: keras.callbacks.CSVLogger(folder / "log.csv"),
    "ModelCheckpoint": lambda folder: keras.callbacks.ModelCheckpoint(folder / "best.keras"),
    "EarlyStopping": lambda folder: keras.callbacks.EarlyStopping(patience=5),
    "LambdaCallback": lambda folder: keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: (folder / "called").touch()
    ),
    "TerminateOnNaN": lambda folder: keras.callbacks.TerminateOnNaN(),
    "BackupAndRestore": lambda folder: keras.callbacks.BackupAndRestore(folder / "backup"),
}


@pytest.fixture
def settings(tiny):
    return kmixer.build_settings(tiny, {"training": {"epochs": 1}})


def test_what_is_no_data_is_refused_with_what_is():
    with pytest.raises(SettingsError, match=r"or Settings, as of kmixer\.build_settings"):
        kmixer.train({"data": {"name": "./photos"}})


@pytest.mark.whole
def test_a_line_an_epoch_is_printed_by_default(settings, tmp_path, capsys):
    run = kmixer.train(settings, root=tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("data     halves: ") and f"run      {run.folder}" in lines
    assert len([line for line in lines if line.startswith("epoch 1/1  loss ")]) == 1
    assert lines[-1].startswith("best epoch (1): accuracy train ") and "test" in lines[-1]
    kmixer.train(settings, root=tmp_path, verbose=0)
    assert capsys.readouterr().out == ""


@pytest.mark.whole
def test_keras_own_callbacks_work_beside_it(settings, tmp_path):
    callbacks = [make(tmp_path) for make in OWN.values()]
    run = kmixer.train(settings, root=tmp_path, callbacks=callbacks)
    assert run.finished and {"log.csv", "best.keras", "called"} <= {
        path.name for path in tmp_path.iterdir()
    }


@pytest.mark.whole
def test_the_old_name_of_callbacks_is_taken(settings, tmp_path, capsys):
    with pytest.warns(DeprecationWarning, match="watchers is called callbacks now"):
        kmixer.train(settings, root=tmp_path, watchers=[keras.callbacks.ProgbarLogger()])
    assert "━" in capsys.readouterr().out  # the bar


def test_the_file_holds_the_model_alone_and_keras_opens_it(trained_run):
    path = trained_run.folder / "model.keras"
    with zipfile.ZipFile(path) as archive:
        assert b"Adam" not in archive.read("config.json")
    loaded = keras.saving.load_model(path)
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), dtype=np.uint8)
    logits = keras.ops.softmax(loaded(images))
    expected = trained_run.predict(images)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(logits), expected, atol=1e-5)


@pytest.mark.whole
def test_keras_finds_the_classes_after_import_kmixer_alone(trained_run):
    code = (
        "import keras, kmixer\n"
        f"print(keras.saving.load_model({str(trained_run.folder / 'model.keras')!r}).name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.split()[-1] == "mlp_mixer", done.stderr[-500:]


def test_data_sets_have_keras_public_name(image_folder):
    from kmixer import datasets

    assert datasets.load(str(image_folder)).class_names == ("above", "below")
    assert "datasets" in dir(kmixer)
