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
from kmixer.exporting.runtimes import refuse_flex
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
    # TensorFlow calls these stateless.
    "debugs": lambda tf: tf.raw_ops.DebugIdentity(input=tf.zeros(1), debug_urls=["file://canary"]),
    "caches": lambda tf: tf.data.Dataset.range(1).cache("canary").get_single_element(),
    "maps a file": lambda tf: tf.raw_ops.ImmutableConst(
        dtype=tf.uint8, shape=[5], memory_region_name="/etc/hostname"
    ),
    "aborts": lambda tf: tf.raw_ops.Abort(error_msg="x"),
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


TOUCH = "__import__('os').system('touch canary')"


def _change_guards(program):
    program["guards_code"] = [f"not {TOUCH}"]


def _change_expression(program):
    names = program["range_constraints"]
    node = next(n for n in program["graph_module"]["graph"]["nodes"] if n["outputs"])
    text = f"{next(iter(names))} + 0*len([{TOUCH}])"
    node["inputs"].append({"name": "x", "arg": {"as_sym_int": {"expr_str": text}}, "kind": 1})


def _change_function(program):
    program["graph_module"]["graph"]["nodes"][0]["target"] = "torch.os.system"


def _change_file(program):
    program["graph_module"]["graph"]["nodes"][0]["target"] = "torch.ops.aten.from_file.default"


def _change_argument(program):
    call = program["graph_module"]["module_call_graph"][0]
    call["signature"]["forward_arg_names"] = [f"images={TOUCH}"]


def _change_structure(program):
    call = program["graph_module"]["module_call_graph"][0]
    spec = '{"type": "collections.defaultdict", "context": "{}", "children_spec": []}'
    call["signature"]["in_spec"] = f"[1, {spec}]"


@pytest.fixture(scope="module")
def torch_program():
    """The files of an exported program that answers, with batches of any size."""
    torch = pytest.importorskip("torch")

    class Model(torch.nn.Module):
        def forward(self, images):
            return torch.softmax(images.float().reshape(images.shape[0], 64)[:, :2], dim=-1)

    images, batch = torch.zeros((2, 8, 8, 1), dtype=torch.uint8), torch.export.Dim("batch")
    program = torch.export.export(Model(), (images,), dynamic_shapes={"images": {0: batch}})
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    with zipfile.ZipFile(buffer) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _write_program(folder, content, change):
    folder.mkdir()
    name = next(name for name in content if name.endswith("models/model.json"))
    program = json.loads(content[name])
    change(program)
    with zipfile.ZipFile(folder / "model.pt2", "w") as archive:
        for file, data in (content | {name: json.dumps(program).encode()}).items():
            archive.writestr(file, data)


@pytest.mark.parametrize(
    "change",
    [_change_guards, _change_expression, _change_function, _change_file, _change_argument,
     _change_structure],
)  # fmt: skip
def test_the_text_of_a_torch_export_runs_nothing(change, here, torch_program, tflite_export):
    _write_program(here / "export", torch_program, change)
    with pytest.raises(RunError, match=r"which may do more|Python code|takes or returns other"):
        as_export(here / "export", "torch", "model.pt2", tflite_export).open()
    assert not (here / "canary").exists()


def test_a_torch_export_that_only_computes_is_opened(here, torch_program, tflite_export):
    _write_program(here / "export", torch_program, lambda program: None)
    predict, _ = as_export(here / "export", "torch", "model.pt2", tflite_export).open()
    assert predict(np.zeros((3, 8, 8, 1), np.uint8)).shape == (3, 2)


def test_a_torch_export_with_a_file_twice_is_refused(here, torch_program, tflite_export):
    _write_program(here / "export", torch_program, lambda program: None)
    with zipfile.ZipFile(here / "export" / "model.pt2", "a") as archive, pytest.warns(UserWarning):
        archive.writestr(next(iter(torch_program)), b"")
    with pytest.raises(RunError, match="holds a file twice"):
        as_export(here / "export", "torch", "model.pt2", tflite_export).open()


def test_an_object_in_a_torch_export_is_refused(here, tflite_export):
    pytest.importorskip("torch")
    folder = here / "export"
    folder.mkdir()
    with zipfile.ZipFile(folder / "model.pt2", "w") as archive:
        archive.writestr("model/data/constants/opaque_obj_0", pickle.dumps(Touch()))
    with pytest.raises(RunError, match="opaque_obj_0, which could run code"):
        as_export(folder, "torch", "model.pt2", tflite_export).open()
    assert not (here / "canary").exists()


def tensorflows_operations(in_a_loop):
    """Return a TFLite file that asks TensorFlow to print, which can write files as well."""
    import tensorflow as tf

    def body(number):
        tf.print(number, output_stream="file:///dev/null")
        return number + 1

    @tf.function(input_signature=[tf.TensorSpec((), tf.int32)])
    def count(number):
        if in_a_loop:
            return tf.while_loop(lambda n: n < 3, body, [number])
        return body(number)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([count.get_concrete_function()])
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS,
    ]  # fmt: skip
    return converter.convert()


@pytest.mark.parametrize("in_a_loop", [False, True])
def test_operations_of_tensorflow_are_refused_wherever_they_are(in_a_loop, tflite_export):
    with pytest.raises(ValueError, match=r"the operation Flex\w+, which may do more"):
        refuse_flex(tensorflows_operations(in_a_loop))
    refuse_flex((tflite_export.folder / "model.tflite").read_bytes())
