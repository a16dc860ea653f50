"""A run as the Hugging Face Hub expects it: written whole, read by Keras, uploaded in one commit."""

import re
import shutil

import keras
import numpy as np
import pytest

import kmixer
from kmixer.exporting.artifact import load_artifact

if keras.backend.backend() != "tensorflow":
    pytest.skip("one backend is enough: it writes files", allow_module_level=True)

TOKEN = {"HF_TOKEN": "hf_test"}


@pytest.fixture
def run(trained_run, tflite_export, tmp_path):
    """A copy of a finished run, with an export."""
    folder = tmp_path / "run"
    shutil.copytree(trained_run.folder, folder)
    shutil.rmtree(folder / "export", ignore_errors=True)
    shutil.copytree(tflite_export.folder, folder / "export" / "tflite")
    return folder


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_the_folder_is_read_by_keras_and_by_kmixer(run, trained_run, run_command, monkeypatch):
    done = run_command("push", run, "--license", "mit", "--backend", "tensorflow")
    assert done.returncode == 0, done.stderr
    assert "nothing was uploaded" in done.stdout and "name the folder of its images" in done.stdout
    folder = run / "hub"
    assert names(folder) == [
        "README.md", "config.json", "config.yaml", "example.png",
        *(f"export/tflite/{name}" for name in names(run / "export" / "tflite")),
        "history.csv", "labels.txt", "metadata.json", "metrics.json", "model.keras",
        "model.weights.h5",
    ]  # fmt: skip
    load_artifact(folder / "export" / "tflite").open()
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), np.uint8)
    expected = trained_run.predict(images)
    assert np.abs(kmixer.load_run(folder).predict(images) - expected).max() <= 1e-6
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda **_: str(folder))
    for place in (folder / "model.keras", "hf://somebody/halves"):
        model = keras.saving.load_model(place)
        answers = keras.ops.convert_to_numpy(keras.ops.softmax(model(images)))
        assert np.abs(answers - expected).max() <= 1e-6
    again = run_command("push", run, "--license", "mit")
    assert again.returncode == 0, again.stderr  # its own folder is replaced


# The lines of a card, which are short, leave labels.txt to be closed by Python.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_card_is_one_that_the_hub_reads_and_its_lines_run(
    run, run_command, monkeypatch, capsys
):
    hub = pytest.importorskip("huggingface_hub", reason="the extra hub is not installed")
    assert run_command("push", run, "--license", "apache-2.0").returncode == 0
    monkeypatch.chdir(run / "hub")
    card = hub.ModelCard.load("README.md")
    data = card.data
    assert (data.license, data.library_name, data.pipeline_tag, data.metrics) == (
        "apache-2.0", "keras", "image-classification", ["accuracy"],
    )  # fmt: skip
    assert data.eval_results[0].metric_value == 1.0
    (example,) = data.widget
    assert example["src"] == "example.png"
    probabilities = kmixer.load_run(".").predict("example.png")[0]
    top = example["output"][0]
    assert top["label"] == ("above", "below")[probabilities.argmax()]
    assert abs(top["score"] - probabilities.max()) <= 1e-4
    blocks = re.findall(r"```python\n(.*?)```", card.text, re.S)
    for block in blocks:
        exec(block, {})
    assert capsys.readouterr().out == f"{top['label']}\n" * 2 == f"{top['label']}\n" * len(blocks)


def test_an_upload_is_one_commit_and_leaves_no_old_export(run, fake_hub, run_command):
    words = ("push", run, "--to", "somebody/halves")
    done = run_command(*words, env=TOKEN)
    assert done.returncode == 0, done.stderr
    versions = fake_hub.repositories["somebody/halves"]
    folder = run / "hub"
    assert versions[-1] == {name: (folder / name).read_bytes() for name in names(folder)}
    assert len(versions) == 2  # the empty one that was made, and this
    assert b'load_model("hf://somebody/halves")' in versions[-1]["README.md"]
    versions[-1] = versions[-1] | {"NOTES.md": b"of its owner", "model.sig": b"old"}
    shutil.rmtree(run / "export")
    assert run_command(*words, env=TOKEN).returncode == 0
    assert sorted(versions[-1]) == sorted([*names(folder), "NOTES.md"])


@pytest.mark.parametrize(
    "status, message", [(401, "token is not valid"), (403, "may not write"), (500, "answered 500")]
)
def test_what_the_hub_refuses_is_one_line(run, fake_hub, run_command, status, message):
    fake_hub.status = status
    done = run_command("push", run, "--to", "somebody/halves", env=TOKEN)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert message in done.stderr and "nothing was uploaded" in done.stderr


def test_a_hub_that_cannot_be_reached_is_one_line(run, fake_hub, run_command, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    done = run_command("push", run, "--to", "somebody/halves", env=TOKEN)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "cannot be reached" in done.stderr


def test_mistakes_are_one_line_and_nothing_is_written(run, fake_hub, run_command, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    shutil.copytree(run, tmp_path / "unfinished")
    (tmp_path / "unfinished" / "metrics.json").unlink()
    shutil.copytree(run, tmp_path / "bad")
    (tmp_path / "bad" / "export" / "tflite" / "labels.txt").write_text("x\n")
    before = names(tmp_path)
    no_token = {"HF_TOKEN": "", "HF_HOME": str(tmp_path / "nobody")}
    for words, env, code, message in (
        ((run, "--out", tmp_path / "mine"), {}, 1, "would be lost"),
        ((run, "--out", run), {}, 1, "would be lost"),
        ((run, "--license", "my own!"), {}, 2, "--license"),
        ((run, "--to", "halves"), TOKEN, 2, "USER/NAME"),
        ((run, "--to", "a b/c"), TOKEN, 2, "--to"),
        ((run, "--to", "somebody/halves"), no_token, 2, "needs a token"),
        ((tmp_path / "unfinished",), {}, 1, "not finished"),
        ((tmp_path / "bad",), {}, 1, "its length is not the manifest's"),
        ((tmp_path,), {}, 1, "not a run folder"),
    ):
        done = run_command("push", *words, env=env)
        assert done.returncode == code and done.stderr.count("\n") == 1, done.stderr
        assert message in done.stderr
    assert names(tmp_path) == before
    assert not fake_hub.asked
