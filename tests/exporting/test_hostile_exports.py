"""Exports that would run code if they were served: refused, nothing run."""

import io
import json
import os
import pickle
import zipfile

import keras
import numpy as np
import pytest

from hostile_files import Touch
from kmixer.errors import RunError
from kmixer.exporting.artifact import load_artifact
from kmixer.files import checksums

if keras.backend.backend() != "tensorflow":
    pytest.skip("a server has no Keras backend", allow_module_level=True)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def as_export(folder, name, file, like):
    """Write a manifest around a hostile file, its checksums right."""
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in like.class_names))
    manifest = like.manifest | {"format": name, "file": file, "files": checksums.checksums(folder)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return load_artifact(folder)


def saved_model(folder, action):
    """Write a SavedModel that does more than answer."""
    import tensorflow as tf

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 1], tf.uint8, name="images")])
        def answer(self, images):
            action(tf)
            return {"probabilities": tf.zeros([tf.shape(images)[0], 2])}

    model = Model()
    tf.saved_model.save(model, folder, signatures={"serving_default": model.answer})


ACTIONS = {
    "nothing": lambda tf: None,
    "writes a file": lambda tf: tf.io.write_file("canary", "x"),
    "saves a tensor": lambda tf: tf.raw_ops.SaveV2(prefix="canary", tensor_names=["a"],
                                                   shape_and_slices=[""], tensors=[tf.zeros(1)]),
    "runs Python": lambda tf: tf.py_function(lambda: os.system("touch canary"), [], tf.int32),
    "reads a file": lambda tf: tf.print(tf.io.read_file("/etc/hostname")),
}  # fmt: skip


@pytest.mark.parametrize("kind", ACTIONS)
def test_a_saved_model_only_computes(kind, here, tflite_export):
    saved_model(str(here / "export"), ACTIONS[kind])
    artifact = as_export(here / "export", "saved_model", ".", tflite_export)
    if kind == "nothing":
        predict, _ = artifact.open()
        assert predict(np.zeros((1, 8, 8, 1), np.uint8)).shape == (1, 2)
        return
    with pytest.raises(RunError, match="holds the operation"):
        artifact.open()
    assert not list(here.glob("canary*"))


def test_what_a_torch_export_has_pickled_is_never_run(here, tflite_export):
    torch = pytest.importorskip("torch")
    folder = here / "export"
    folder.mkdir()
    program = torch.export.export(torch.nn.Flatten(), (torch.zeros(1, 8),))
    torch.export.save(program, folder / "whole.pt2")
    with zipfile.ZipFile(folder / "whole.pt2") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    (folder / "whole.pt2").unlink()
    inputs = next(name for name in content if "sample_inputs" in name)
    with zipfile.ZipFile(folder / "model.pt2", "w") as archive:
        for name, data in (content | {inputs: pickled(content[inputs])}).items():
            archive.writestr(name, data)
    with pytest.raises(RunError, match="cannot be opened"):
        as_export(folder, "torch", "model.pt2", tflite_export).open()
    assert not (here / "canary").exists()


def pickled(content):
    """Return torch's own kind of archive with another pickle in it."""
    whole, buffer = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in whole.namelist():
            data = pickle.dumps(Touch(), 2) if name.endswith("data.pkl") else whole.read(name)
            archive.writestr(name, data)
    return buffer.getvalue()


def test_an_object_in_a_torch_export_is_refused(here, tflite_export):
    pytest.importorskip("torch")
    folder = here / "export"
    folder.mkdir()
    with zipfile.ZipFile(folder / "model.pt2", "w") as archive:
        archive.writestr("model/data/constants/opaque_obj_0", pickle.dumps(Touch()))
    with pytest.raises(RunError, match="opaque_obj_0, which could run code"):
        as_export(folder, "torch", "model.pt2", tflite_export).open()
    assert not (here / "canary").exists()
