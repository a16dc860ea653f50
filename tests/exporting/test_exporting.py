"""Exported files give the Keras model's answers, or are not kept."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from hashlib import sha256

import keras
import numpy as np
import pytest
from PIL import Image

from in_process_export import export
from kmixer.data.decode import Decoding
from kmixer.data.image_files import read_images
from kmixer.errors import RunError, SettingsError, one_line
from kmixer.evaluation.images import load_data
from kmixer.exporting import formats, runtimes, subprocesses, support, verification
from kmixer.exporting.artifact import check_replaceable, load_artifact
from kmixer.exporting.contents import read_folder
from kmixer.exporting.export import export_run
from kmixer.exporting.reference import Reference
from kmixer.exporting.verify_process import verify
from kmixer.files import staging
from kmixer.runs.run import load_run

tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the conversions run in processes of their own"
)
pytestmark = tensorflow_only

# Every cell is tried with every backend, in processes of its own, in test_export_support.py.
QUICK = {
    ("saved_model", "none"), ("tflite", "none"), ("tflite", "int8"), ("onnx", "none"), ("c", "none"),
}  # fmt: skip
CELLS = [
    pytest.param(
        known.name, quantize, marks=[] if (known.name, quantize) in QUICK else pytest.mark.slow
    )
    for known in formats.FORMATS.values()
    for quantize in known.quantizations
    if quantize in ("none", "int8")
]
RUN_BY_LINES = [
    cell
    for cell in CELLS
    if cell.values[1] == "none" and formats.FORMATS[cell.values[0]].language != "text"
]


@pytest.fixture(scope="module")
def reference(trained_run):
    return Reference(trained_run, load_data(trained_run))


@pytest.fixture(scope="module")
def exported(reference, tflite_export, tmp_path_factory):
    """A function that exports once and returns the `Artifact`."""
    out, done = tmp_path_factory.mktemp("exports"), {("tflite", "none"): tflite_export}

    def get(name, quantize="none"):
        known = formats.FORMATS[name]
        if missing := [*support.missing_modules(known), *filter(None, [known.lacks()])]:
            pytest.skip(f"not installed: {', '.join(missing)}")
        if (name, quantize) not in done:
            here = known.backend in ("tensorflow", None)
            write = export if here else export_run
            done[name, quantize] = write(reference, name, quantize, out=out)
        return done[name, quantize]

    return get


@pytest.mark.parametrize(("name", "quantize"), CELLS)
def test_the_written_file_gives_the_keras_models_probabilities(exported, reference, name, quantize):
    artifact = load_artifact(exported(name, quantize).folder)
    known = formats.FORMATS[name]
    opened = (
        artifact.open()
        if known.serving_rank is not None
        else known.open(read_folder(artifact.folder), None)
    )
    predict, _ = opened
    received = predict(reference.images)
    assert received.dtype == np.float32 and received.shape == (40, 2)
    atol = 1e-5 if quantize == "none" else 0.1
    np.testing.assert_allclose(received, reference.probabilities, atol=atol)
    np.testing.assert_allclose(predict(reference.images[:3]), received[:3], atol=atol)  # batch of 3
    proof = artifact.manifest["proof"]
    assert proof["images"] == 40 and proof["top1_agreement"] == 1.0
    assert proof["largest_difference"] <= atol and proof["source"] == "halves, test"
    assert (proof["test_accuracy"] is not None) == (quantize != "none")
    assert all(value > 0 for value in proof["milliseconds_per_image"].values())


@pytest.mark.parametrize(("name", "quantize"), CELLS)
def test_the_manifest_describes_every_file(exported, trained_run, name, quantize):
    artifact = exported(name, quantize)
    assert artifact.class_names == trained_run.class_names == ("above", "below")
    assert (artifact.folder / "labels.txt").read_text() == "above\nbelow\n"
    manifest = json.loads((artifact.folder / "manifest.json").read_text())
    for path, file in manifest["files"].items():
        content = (artifact.folder / path).read_bytes()
        assert (len(content), sha256(content).hexdigest()) == (file["bytes"], file["sha256"])
    on_disk = {
        p.relative_to(artifact.folder).as_posix() for p in artifact.folder.rglob("*") if p.is_file()
    }
    assert on_disk == {*manifest["files"], "manifest.json"}
    assert manifest["settings"]["model"]["hidden_dim"] == 8


@pytest.mark.whole
@pytest.mark.parametrize(("name", "quantize"), RUN_BY_LINES)
def test_the_cards_lines_run_without_kmixer_and_keras(exported, reference, name, quantize):
    artifact = exported(name, quantize)
    card = (artifact.folder / "README.md").read_text()
    language, code = re.search(r"```(python|sh)\n(.*?)```", card, re.S).groups()
    assert len(code.strip().splitlines()) <= 9
    script = (
        f"import sys\nsys.modules['kmixer'] = sys.modules['keras'] = None  # not there\n{code}\n"
    )
    words = [sys.executable, "-c", script] if language == "python" else ["sh", "-ec", code]
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    done = subprocess.run(
        words, capture_output=True, text=True, cwd=artifact.folder, check=False,
        env=os.environ | {"PATH": path},
    )  # fmt: skip
    expected = artifact.class_names[reference.probabilities[0].argmax()]
    assert done.returncode == 0 and done.stdout.strip() == expected, done.stderr


def test_the_runs_card_says_how_it_was_made_and_its_lines_run(trained_run, reference, monkeypatch):
    card = (trained_run.folder / "README.md").read_text()
    metrics = trained_run.metrics
    assert f"| test | {100 * metrics['best']['test']['accuracy']:.2f} %" in card
    assert (
        "8×8 grey images into 2 classes" in card and f"{metrics['parameters']:,} parameters" in card
    )
    code = re.search(r"```python\n(.*?)```", card, re.S).group(1)
    monkeypatch.chdir(trained_run.folder)
    names = {}
    exec(code, names)
    first = reference.dataset.test.images[:1]
    np.testing.assert_allclose(names["probabilities"], trained_run.predict(first), atol=1e-6)


@pytest.mark.parametrize("name", ["saved_model", "onnx"])
def test_images_of_any_size_are_fitted_as_predict_does_it(exported, tmp_path, name):
    predict, _ = exported(name).open()
    generator = np.random.default_rng(0)
    for size in [(16, 24), (31, 8), (5, 5), (200, 90)]:
        coarse = Image.fromarray(generator.integers(0, 256, (4, 6), dtype=np.uint8))
        image = coarse.resize(size[::-1], Image.Resampling.BICUBIC)
        image.save(tmp_path / "image.png")
        (fitted,) = read_images([tmp_path / "image.png"], Decoding(8, 8, 1))
        by_size = predict(np.asarray(image)[None, :, :, None])
        np.testing.assert_allclose(by_size, predict(fitted[None]), atol=0.02)  # a grey level


def test_a_tflite_file_carries_its_labels_and_computes_in_integers(exported):
    artifact = exported("tflite", "int8")
    path = artifact.folder / "model.tflite"
    assert zipfile.ZipFile(path).read("labels.txt") == b"above\nbelow\n"
    assert b"TFLITE_METADATA" in path.read_bytes() and b"M001" in path.read_bytes()
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path))
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    assert details["dtype"] == np.uint8 and details["quantization"] == (
        1.0,
        0,
    )  # pixels as they are
    floats = [t["index"] for t in interpreter.get_tensor_details() if t["dtype"] == np.float32]
    assert floats == [interpreter.get_output_details()[0]["index"]]  # the probabilities alone


def test_a_tflite_file_opens_with_tensorflow_alone(exported, reference, monkeypatch):
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)  # no LiteRT runtime
    predict, runtime = exported("tflite").open()
    assert runtime.startswith("tensorflow.lite ")
    np.testing.assert_allclose(predict(reference.images), reference.probabilities, atol=1e-5)


def test_a_float_file_that_differs_is_not_kept(reference, tmp_path, monkeypatch):
    monkeypatch.setattr(verification, "TOLERANCE", -1.0)
    with pytest.raises(RunError, match=r"tflite: differs .* on 40 images: largest difference"):
        export(reference, "tflite", out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_quantised_file_that_loses_too_much_is_not_kept_and_the_old_one_is(
    reference, exported, tmp_path, monkeypatch
):
    half = np.arange(40) < 20
    monkeypatch.setattr("kmixer.exporting.export._accuracy",
                        lambda *_: verification.Accuracy(np.ones(40, bool), half))  # fmt: skip
    old = shutil.copytree(exported("tflite", "int8").folder, tmp_path / "tflite-int8")
    with pytest.raises(
        RunError, match=r"100\.00 % became 50\.00 %, 50\.00 points lost \(from .* nothing was kept"
    ):
        export(reference, "tflite", "int8", out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tflite-int8"]
    assert load_artifact(old).manifest == exported("tflite", "int8").manifest


def test_a_folder_that_is_no_export_is_not_replaced(reference, tmp_path):
    (tmp_path / "tflite").mkdir()
    (tmp_path / "tflite" / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match=r"already there, and it holds no manifest\.json"):
        export_run(reference, "tflite", out=tmp_path)
    assert (tmp_path / "tflite" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"name": "a web page"}', "of something else"), (None, r"notes\.md', which would be lost")],
)
def test_what_else_lies_in_an_exports_folder_is_not_lost(
    reference, tflite_export, tmp_path, text, message
):
    folder = tmp_path / "tflite"
    shutil.copytree(tflite_export.folder, folder)
    (folder / "notes.md").write_text("mine")
    if text:
        (folder / "manifest.json").write_text(text)
    with pytest.raises(RunError, match=message):
        export(reference, "tflite", out=tmp_path)
    assert (folder / "notes.md").read_text() == "mine"


def test_a_damaged_export_may_be_replaced(tflite_export, tmp_path):
    shutil.copytree(tflite_export.folder, tmp_path / "tflite")
    manifest = tmp_path / "tflite" / "manifest.json"
    manifest.write_text(manifest.read_text()[:-20])
    check_replaceable(tmp_path / "tflite")


@pytest.mark.whole
def test_a_failing_conversion_is_one_line_and_leaves_nothing(reference, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sitecustomize.py").write_text(
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
    )
    with pytest.raises(RunError, match="tflite: converting: ") as caught:
        export_run(reference, "tflite", out=tmp_path / "out")
    assert "\n" not in str(caught.value) and list((tmp_path / "out").iterdir()) == []


@pytest.mark.whole
def test_weights_without_images_are_verified_on_others_and_not_calibrated(trained_run, tmp_path):
    reference = Reference(trained_run)
    assert reference.images.shape == (256, 8, 8, 1) and reference.images.dtype == np.uint8
    artifact = export(reference, "tflite", "dynamic", out=tmp_path)
    proof = artifact.manifest["proof"]
    assert proof["source"] == "Fashion-MNIST, scaled" and proof["test_accuracy"] is None
    with pytest.raises(SettingsError, match="int8 is calibrated on training images"):
        export(reference, "tflite", "int8", out=tmp_path)
    for attribute in ("right", "calibration_images"):
        with pytest.raises(ValueError, match="no data set"):
            getattr(reference, attribute)


def test_a_damaged_run_fails_before_a_process_is_started(trained_run, tmp_path):
    copy = shutil.copytree(trained_run.folder, tmp_path / "run")
    (copy / "model.keras").write_bytes(b"")
    with pytest.raises(RunError, match=r"model\.keras"):
        Reference(load_run(copy))


def test_a_function_is_called_in_a_process_that_finds_no_module_in_the_current_folder(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kmixer.py").write_text("raise SystemExit('the wrong kmixer')")
    assert subprocesses.call(one_line, {"a": "1\n2"}, task="testing") == "{'a': '1\\n2'}"
    with pytest.raises(RunError, match="testing: KeyError: 'format'") as caught:
        subprocesses.call(verify, {}, task="testing")
    assert "Traceback" in str(caught.value.__cause__)


def _accuracy(images, lost, gained):
    """Of a model that is right but for `gained` images, which its file gets right instead of `lost`."""
    keras_right = np.arange(images) >= gained
    file_right = np.arange(images) < images - lost
    return verification.Accuracy(keras_right, file_right)


@pytest.mark.parametrize(
    ("images", "lost", "gained", "kept"),
    [(35, 1, 0, True), (35, 5, 0, True), (35, 6, 0, False), (20, 20, 0, False),
     (10_000, 60, 0, False), (10_000, 160, 100, False), (10_000, 1_060, 1_000, True)],
)  # fmt: skip
def test_a_drop_is_refused_where_the_images_that_changed_prove_it(images, lost, gained, kept):
    accuracy = _accuracy(images, lost, gained)
    assert accuracy.drop == pytest.approx(100 * (lost - gained) / images)
    lowest, highest = accuracy.interval
    assert lowest < accuracy.drop <= highest + 1e-9
    same = np.array([[0.9, 0.1]])
    comparison = verification.compare(same, same, accuracy)
    if kept:
        note = verification.check(comparison, "tflite-int8", "int8", 0.5)
        assert f"kept, since {images:,} images cannot tell" in note
    else:
        with pytest.raises(RunError, match="nothing was kept"):
            verification.check(comparison, "tflite-int8", "int8", 0.5)


def test_agreement_and_difference_by_hand():
    expected = np.array([[0.9, 0.1], [0.4, 0.6]])
    received, accuracy = np.array([[0.8, 0.2], [0.55, 0.45]]), _accuracy(1000, lost=8, gained=1)
    comparison = verification.compare(expected, received, accuracy)
    assert comparison.agreement == 0.5 and comparison.largest_difference == pytest.approx(0.15)
    assert accuracy.drop == pytest.approx(0.7)
    assert verification.check(comparison, "tflite-int8", "int8", 0.71) is None
    with pytest.raises(RunError, match=r"99\.90 % became 99\.20 %, 0\.70 points lost \(from 0\.03"):
        verification.check(comparison, "tflite-int8", "int8", 0.69)
    with pytest.raises(RunError, match=r"same first class 50\.00 %"):
        verification.check(comparison, "onnx", "none", 0.5)


def test_probabilities_that_are_not_finite_are_refused():
    expected = np.array([[0.9, 0.1]])
    for quantize in ("none", "dynamic"):
        with pytest.raises(RunError, match="not finite"):
            verification.check(
                verification.compare(expected, expected * np.nan), "onnx", quantize, 0.5
            )


def test_a_quantised_file_without_labels_has_to_agree():
    expected = np.tile([[0.9, 0.1]], (10, 1))
    received = expected.copy()
    verification.check(verification.compare(expected, received), "tflite-dynamic", "dynamic", 0.5)
    received[:2] = [0.1, 0.9]
    with pytest.raises(RunError, match=r"the same first class as Keras for 80\.00 %"):
        verification.check(
            verification.compare(expected, received), "tflite-dynamic", "dynamic", 0.5
        )


def test_an_old_export_survives_a_swap_that_fails(tmp_path, monkeypatch):
    folder = tmp_path / "tflite"
    folder.mkdir()
    (folder / "manifest.json").write_text("old")
    real, calls = os.replace, []

    def replace(source, target, **folders):
        calls.append(target)
        if len(calls) == 3:  # the new folder into the place of the old one
            raise OSError(5, "Input/output error")
        real(source, target, **folders)

    monkeypatch.setattr(os, "replace", replace)
    with (
        pytest.raises(RunError, match="Input/output error"),
        staging.replacing_folder(folder, "manifest.json") as new,
    ):
        (new / "manifest.json").write_text("new")
    assert (folder / "manifest.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["tflite"]


def test_a_run_still_opens_after_its_exports(exported, trained_run):
    exported("tflite")
    assert load_run(trained_run.folder).finished
