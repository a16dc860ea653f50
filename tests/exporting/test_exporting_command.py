"""`kmixer export` as a user meets it."""

import json
import shutil
from importlib.util import find_spec

import keras
import pytest

from kmixer.errors import SettingsError
from kmixer.exporting import formats
from kmixer.exporting.artifact import load_artifact

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
        formats.find_format(name, quantize)


def test_a_format_that_is_not_installed_names_the_extra(monkeypatch):
    monkeypatch.setattr(
        formats, "find_spec", lambda name: None if "vino" in name else find_spec(name)
    )
    with pytest.raises(
        SettingsError,
        match=r"openvino needs openvino; install with: pip install 'kmixer\[export\]'",
    ):
        formats.find_format("openvino")


def test_the_command_exports_two_formats_from_an_unmoved_run(kmixer_cli, trained_run, tmp_path):
    done = kmixer_cli(
        "export", trained_run.folder, "--format", "saved_model", "--format", "tflite", "--json",
        "--out", tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [e["format"] for e in json.loads(done.stdout)["exports"]] == ["saved_model", "tflite"]
    assert "proved on 40 images (halves, test)" in done.stderr
    assert not {"export"} & {path.name for path in trained_run.folder.iterdir()}


def test_the_command_refuses_what_is_not_finished(kmixer_cli, trained_run, tmp_path):
    begun = shutil.copytree(trained_run.folder, tmp_path / "begun")
    (begun / "metrics.json").unlink()
    done = kmixer_cli("export", begun, "--format", "tflite")
    assert done.returncode == 1 and "kmixer resume" in done.stderr
    done = kmixer_cli("export", tmp_path, "--format", "tflite")
    assert done.returncode == 1 and "not a run folder" in done.stderr
    assert kmixer_cli("export", trained_run.folder).returncode == 2


def test_the_list_tells_every_cell(kmixer_cli):
    done = kmixer_cli("export", "--list", "--json")
    assert json.loads(done.stdout)["cells"] == formats.support()
    assert "saved_model" in done.stderr and "no int8: saved_model, openvino, torch" in done.stderr


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
    alone = proof["milliseconds_per_image"]["1 thread"]
    assert alone <= proof["keras_predict_milliseconds"] / 20
