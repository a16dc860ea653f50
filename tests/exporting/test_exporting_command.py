"""`kmixer export` as a user meets it."""

import json
import re
import shutil
from importlib.util import find_spec

import keras
import numpy as np
import pytest

from changed_run import changed_run, name_files
from in_process_export import without_processes
from kmixer.errors import SettingsError
from kmixer.exporting import formats, support
from kmixer.exporting.artifact import load_artifact
from kmixer.serving import selection

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the conversions run in processes of their own"
)


@pytest.mark.parametrize(
    ("name", "quantize", "message"),
    [
        ("tflight", "none", "nearest: 'tflite'"),
        ("tflite", "int4", "nearest: 'int8'"),
        ("torch", "int8", "int8 is for tflite, onnx"),
    ],
)
def test_wrong_names_are_refused_with_the_nearest(name, quantize, message):
    with pytest.raises(SettingsError, match=message):
        support.find_format(name, quantize)


def test_a_format_that_is_not_installed_names_the_extra(monkeypatch):
    monkeypatch.setattr(
        support, "find_spec", lambda name: None if "vino" in name else find_spec(name)
    )
    with pytest.raises(
        SettingsError,
        match=r"openvino needs openvino; install with: pip install 'kmixer\[export\]'",
    ):
        support.find_format("openvino")


def test_the_command_exports_two_formats_from_an_unmoved_run(run_command, trained_run, tmp_path):
    with without_processes():
        done = run_command(
            "export", trained_run.folder, "--format", "saved_model", "--format", "tflite", "--json",
            "--out", tmp_path,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [e["format"] for e in json.loads(done.stdout)["exports"]] == ["saved_model", "tflite"]
    assert "verified on 40 images (halves, test)" in done.stderr
    assert "saved_model.pb, labels.txt" in done.stderr and "model.tflite, labels" in done.stderr
    assert not {"export"} & {path.name for path in trained_run.folder.iterdir()}


def test_the_command_refuses_an_unfinished_run(run_command, trained_run, tmp_path):
    unfinished = shutil.copytree(trained_run.folder, tmp_path / "unfinished")
    (unfinished / "metrics.json").unlink()
    done = run_command("export", unfinished, "--format", "tflite")
    assert done.returncode == 1 and "kmixer resume" in done.stderr
    done = run_command("export", tmp_path, "--format", "tflite")
    assert done.returncode == 1 and "not a run folder" in done.stderr
    assert run_command("export", trained_run.folder).returncode == 2


def test_the_list_shows_every_cell(run_command):
    done = run_command("export", "--list", "--json")
    assert json.loads(done.stdout)["cells"] == support.support()
    assert "saved_model" in done.stderr and "no int8: saved_model, openvino, torch" in done.stderr


def test_a_new_format_is_its_record(run_command, tflite_export, tmp_path, monkeypatch):
    """It is listed, found, opened and served; that nobody has tried it yet breaks nothing."""

    def halves(images):
        return np.full((len(images), 2), 0.5)

    record = formats.Format(
        "npz", "model.npz", ("none",), "to_npz", lambda contents, threads: (halves, "numpy"),
        usage="import numpy", library="numpy", serving_rank=0, modules=("numpy",), extra="npz",
    )  # fmt: skip
    monkeypatch.setitem(formats.FORMATS, "npz", record)
    done = run_command("export", "--list", "--json")
    assert done.returncode == 0 and re.search(r"no dynamic: saved_model, .*\bnpz\n", done.stderr)
    assert json.loads(done.stdout)["cells"]["tensorflow/npz/none"] == "not tried"
    assert support.find_format("npz") is record and record.requirement == "kmixer[npz]"
    shutil.copytree(tflite_export.folder, tmp_path / "export" / "tflite")
    copy = shutil.copytree(tflite_export.folder, tmp_path / "export" / "npz")
    (copy / "model.tflite").rename(copy / "model.npz")
    files = dict(tflite_export.manifest["files"])
    files["model.npz"] = files.pop("model.tflite")
    changes = {"format": "npz", "file": "model.npz", "files": files}
    (copy / "manifest.json").write_text(json.dumps(tflite_export.manifest | changes))
    artifact = selection.find_artifact(tmp_path, pytest.fail)
    assert artifact.folder == copy and artifact.open() == (halves, "numpy")


@pytest.mark.slow
def test_a_real_mixer_keeps_its_accuracy_in_integers_small_and_fast(kmixer_cli, tmp_path):
    run = tmp_path / "run"
    done = kmixer_cli("train", "fmnist", "--epochs", 2, "--out", run, timeout=600)
    assert done.returncode == 0, done.stderr
    for quantize in ("none", "int8"):  # int8 fails where half a point is lost
        done = kmixer_cli("export", run, "--format", "tflite", "--quantize", quantize, timeout=300)
        assert done.returncode == 0, done.stderr
    whole, small = (load_artifact(run / "export" / name) for name in ("tflite", "tflite-int8"))
    assert small.size <= 0.30 * whole.size
    proof = whole.manifest["proof"]
    milliseconds = proof["milliseconds_per_image"]["1 thread"]
    assert milliseconds <= proof["keras_predict_milliseconds"] / 20


def without_its_images(run, folder):
    """A copy of a run whose images are not on this machine."""
    copy = changed_run(run, folder, data={"name": str(folder / "absent")})
    shutil.copyfile(run.folder / "model.keras", folder / "model.keras")
    name_files(copy)
    return copy


@pytest.mark.slow
def test_a_run_whose_images_are_not_here_is_verified_on_others_and_says_so(
    run_command, trained_run, tmp_path
):
    run = without_its_images(trained_run, tmp_path / "copied")
    done = run_command("export", run.folder, "--format", "saved_model")
    assert done.returncode == 0, done.stderr
    assert (
        "its own images are not here: it is verified on Fashion-MNIST, scaled; --data DIR names"
        f" others ({tmp_path / 'copied' / 'absent'})\n" in done.stdout
    )
    folder = run.folder / "export" / "saved_model"
    source = "Fashion-MNIST, scaled: its own images are not here"
    assert json.loads((folder / "manifest.json").read_text())["proof"]["source"] == source
    assert source in (folder / "README.md").read_text()


def test_integers_are_not_calibrated_without_images_and_the_way_is_told(
    run_command, trained_run, tmp_path
):
    run = without_its_images(trained_run, tmp_path / "copied")
    done = run_command("export", run.folder, "--format", "tflite", "--quantize", "int8")
    assert done.returncode == 2 and "name a data set with --data" in done.stderr
    assert "its own images are not here" in done.stderr


def test_a_read_only_run_is_exported_elsewhere(run_command, trained_run, monkeypatch):
    from kmixer.files import atomic

    monkeypatch.setattr(atomic, "is_read_only", lambda folder: True)
    done = run_command("export", trained_run.folder, "--format", "saved_model")
    assert done.returncode == 1 and "read-only" in done.stderr and "--out DIR" in done.stderr
