"""Exported files, each opened by the runtime of its format; needs no Keras.

Every `open_…` takes the file's path (of a SavedModel the folder's) and how many threads the runtime
may use (default: its own choice). It returns a function of uint8 images `(n, height, width,
channels)` → float32 probabilities `(n, classes)`, and the runtime's name and version.
"""

import os
import sys
import zipfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from .graph_check import check_graph


def open_saved_model(path, threads=None):
    """Open a SavedModel with TensorFlow."""
    from ..backend import import_tensorflow

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


def open_tflite(path, threads=None):
    """Open a TFLite file with LiteRT, or with TensorFlow where that is missing."""
    if find_spec("ai_edge_litert"):
        from importlib.metadata import version

        from ai_edge_litert.interpreter import Interpreter

        name = f"ai-edge-litert {version('ai-edge-litert')}"
    else:
        from ..backend import import_tensorflow

        tf = import_tensorflow()
        Interpreter, name = tf.lite.Interpreter, f"tensorflow.lite {tf.__version__}"  # noqa: N806
    interpreter = Interpreter(path, num_threads=threads)
    images_at, probabilities_at = (
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
        return interpreter.get_tensor(probabilities_at)

    return predict, name


def open_onnx(path, threads=None):
    """Open an ONNX file with ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads or 0, 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def predict(images):
        return session.run(["probabilities"], {"images": images})[0]

    return predict, f"onnxruntime {onnxruntime.__version__}"


def open_openvino(path, threads=None):
    """Open an OpenVINO file."""
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


def open_torch(path, threads=None):
    """Open an exported PyTorch program, without unpickling objects."""
    import torch

    _without_pickles(path)
    if threads:
        torch.set_num_threads(threads)
    model = torch.export.load(path).module()

    def predict(images):
        with torch.inference_mode():
            return model(torch.from_numpy(np.ascontiguousarray(images))).numpy()

    return predict, f"torch {torch.__version__}"


def import_openvino():
    """Import OpenVINO without its telemetry, which is sent unasked, and return it.

    It takes its own stub where the package that sends is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)
    return import_module("openvino")
