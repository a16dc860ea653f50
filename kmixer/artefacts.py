"""An exported model, opened by the runtime of its format; needs no Keras."""

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from .errors import RunError

MANIFEST = "manifest.json"


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
        """Open the file; see `open_file`."""
        path = self.folder / self.manifest["file"]
        return open_file(self.manifest["format"], path, threads)


def model_bytes(manifest):
    """Return the bytes of an export's own files, without labels, card and manifest."""
    beside = {"labels.txt", "README.md"}
    return sum(file["bytes"] for name, file in manifest["files"].items() if name not in beside)


def load_artefact(folder):
    """Read an export folder's manifest.

    Raises:
        RunError: it is no export folder.
    """
    folder = Path(folder)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        manifest["format"], manifest["file"], manifest["class_names"], manifest["input"]
    except OSError as error:
        raise RunError(f"{folder}: not an export folder: {MANIFEST}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{folder}: {MANIFEST} is damaged: {error!r}") from None
    return Artefact(folder, manifest)


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
    import openvino

    # Without the hint the processor's own choice may be bfloat16, which is 1e-2 off.
    wishes = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    wishes |= {"INFERENCE_NUM_THREADS": threads} if threads else {}
    model = openvino.Core().compile_model(path, "CPU", wishes)

    def predict(images):
        return np.array(model([images])["probabilities"])

    return predict, f"openvino {openvino.__version__.partition('-')[0]}"


def _torch(path, threads):
    import torch

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
