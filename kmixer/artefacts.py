"""An exported model, opened by the runtime of its format; needs no Keras."""

import json
import os
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, PositiveInt, ValidationError

from .errors import RunError
from .files.checksums import checksum
from .graph_file import check_graph

MANIFEST = "manifest.json"


class _Input(BaseModel):
    trained_on: tuple[PositiveInt, PositiveInt, PositiveInt]


class _Output(BaseModel):
    shape: tuple[None, PositiveInt]


class _Run(BaseModel):
    name: str


class _File(BaseModel):
    bytes: int
    sha256: str


class _Manifest(BaseModel):
    """What this module and the server rely on."""

    format: Literal["saved_model", "tflite", "onnx", "openvino", "torch"]
    quantize: Literal["none", "float16", "dynamic", "int8"]
    file: str
    class_names: list[str]
    input: _Input
    output: _Output
    run: _Run
    proof: dict
    files: dict[str, _File]


@dataclass(frozen=True)
class Artefact:
    """An export folder.

    Attributes:
        folder: where it is.
        manifest: what `manifest.json` says.
    """

    folder: Path
    manifest: dict

    @property
    def class_names(self):
        """The class names, in the order of the probabilities."""
        return tuple(self.manifest["class_names"])

    @property
    def image_shape(self):
        """(height, width, channels) of the images that it was trained on."""
        return tuple(self.manifest["input"]["trained_on"])

    @property
    def size(self):
        """Bytes of the model's own files, without labels, card and manifest."""
        return model_bytes(self.manifest)

    def open(self, threads=None):
        """Open the file, after it has been held against the manifest; see `open_file`.

        Raises:
            RunError: a file is missing or is not what was written, or the runtime refuses it.
        """
        for name, file in self.manifest["files"].items():
            self._check(name, file)
        path = self.folder / self.manifest["file"]
        try:
            return open_file(self.manifest["format"], path, threads)
        except Exception as error:  # each runtime has its own kinds
            reason = " ".join(str(error).split())[:200]
            raise RunError(f"{path}: cannot be opened: {type(error).__name__}: {reason}") from error

    def _check(self, name, file):
        path = self.folder / name
        try:
            found = checksum(path)
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {error.strerror}") from None
        if found["sha256"] != file["sha256"]:
            raise RunError(f"{path}: damaged or changed: its SHA-256 is not the manifest's")


def model_bytes(manifest):
    """Return the bytes of an export's own files, without labels, card and manifest."""
    beside = {"labels.txt", "README.md"}
    return sum(file["bytes"] for name, file in manifest["files"].items() if name not in beside)


def load_artefact(folder):
    """Read an export folder's manifest.

    Raises:
        RunError: it is no export folder, or its manifest is damaged.
    """
    folder = Path(folder)
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
    except OSError as error:
        raise RunError(f"{folder}: not an export folder: {MANIFEST}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RunError(f"{folder}: {MANIFEST} is damaged: it is not UTF-8 text") from None
    try:
        manifest = json.loads(text)
        checked = _Manifest.model_validate(manifest)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RunError(f"{folder}: {MANIFEST} is damaged: {where}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{folder}: {MANIFEST} is damaged: {error}") from None
    _check_consistent(folder, checked)
    return Artefact(folder, manifest)


def _check_consistent(folder, manifest):
    home = folder.resolve()
    for name in (manifest.file, *manifest.files):
        if not (home / name).resolve().is_relative_to(home):
            raise RunError(f"{folder}: {MANIFEST} is damaged: {name} lies outside the folder")
    if len(manifest.class_names) != manifest.output.shape[1]:
        raise RunError(
            f"{folder}: {MANIFEST} is damaged: {len(manifest.class_names)} class names for"
            f" {manifest.output.shape[1]} probabilities"
        )


def open_file(form, path, threads=None):
    """Open an exported file with the runtime that its users use.

    Args:
        form: the name of its format.
        path: the file, or the folder of a SavedModel.
        threads: how many the runtime may use; default its own choice.

    Returns:
        (a function of uint8 `(n, height, width, channels)` → float32 `(n, classes)`, the runtime's
        name and version).
    """
    return _RUNTIMES[form](str(path), threads)


def _saved_model(path, threads):
    from .quietly import import_tensorflow

    tf = import_tensorflow()
    check_graph(path)
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    model = tf.saved_model.load(path)
    serve = model.signatures["serving_default"]

    def predict(images, model=model):  # which keeps the variables
        return serve(images=tf.constant(images))["probabilities"].numpy()

    return predict, f"tensorflow {tf.__version__}"


def _tflite(path, threads):
    if find_spec("ai_edge_litert"):
        from importlib.metadata import version

        from ai_edge_litert.interpreter import Interpreter

        name = f"ai-edge-litert {version('ai-edge-litert')}"
    else:
        from .quietly import import_tensorflow

        tf = import_tensorflow()
        Interpreter, name = tf.lite.Interpreter, f"tensorflow.lite {tf.__version__}"  # noqa: N806
    interpreter = Interpreter(path, num_threads=threads)
    images_at, said_at = (
        tensors[0]["index"]
        for tensors in (interpreter.get_input_details(), interpreter.get_output_details())
    )
    shape = None

    def predict(images):
        nonlocal shape
        if images.shape != shape:
            interpreter.resize_tensor_input(images_at, images.shape)
            interpreter.allocate_tensors()
            shape = images.shape
        interpreter.set_tensor(images_at, images)
        interpreter.invoke()
        return interpreter.get_tensor(said_at)

    return predict, name


def _onnx(path, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads or 0, 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def predict(images):
        return session.run(["probabilities"], {"images": images})[0]

    return predict, f"onnxruntime {onnxruntime.__version__}"


def _openvino(path, threads):
    from .quietly import import_openvino

    openvino = import_openvino()
    # Without the hint the processor's own choice may be bfloat16, which is 1e-2 off.
    wishes = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    wishes |= {"INFERENCE_NUM_THREADS": threads} if threads else {}
    model = openvino.Core().compile_model(path, "CPU", wishes)

    def predict(images):
        return np.array(model([images])["probabilities"])

    return predict, f"openvino {openvino.__version__.partition('-')[0]}"


def _without_pickles(path):
    """Let torch read arrays only, whatever else the file has pickled, for as long as we live."""
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    with zipfile.ZipFile(path) as archive:
        names = [Path(name).name for name in archive.namelist()]
    objects = [name for name in names if name.startswith(("custom_obj_", "opaque_obj_"))]
    if objects:
        raise ValueError(f"it holds the object {objects[0]}, which could run code")


def _torch(path, threads):
    import torch

    _without_pickles(path)
    if threads:
        torch.set_num_threads(threads)
    model = torch.export.load(path).module()

    def predict(images):
        with torch.inference_mode():
            return model(torch.from_numpy(np.ascontiguousarray(images))).numpy()

    return predict, f"torch {torch.__version__}"


_RUNTIMES = {
    "saved_model": _saved_model,
    "tflite": _tflite,
    "onnx": _onnx,
    "openvino": _openvino,
    "torch": _torch,
}
