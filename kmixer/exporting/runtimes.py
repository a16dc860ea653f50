"""Exported files, each opened by the runtime of its format; needs no Keras.

Every `open_…` is an `Opener`: it takes the file's path (of a SavedModel the folder's) and the
number of threads that the runtime may use (None: its own choice). It returns a `Predict`, a
function of uint8 images `(n, height, width, channels)` → float32 probabilities `(n, classes)`, and
the runtime's name and version.
"""

import os
import sys
import zipfile
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from .graph_check import check_graph

Predict = Callable[[np.ndarray], np.ndarray]
Opener = Callable[[str, int | None], tuple[Predict, str]]


def open_saved_model(path: str, threads: int | None = None) -> tuple[Predict, str]:
    """Open a SavedModel with TensorFlow."""
    from ..backend import import_tensorflow

    tf = import_tensorflow()
    check_graph(path)
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    model = tf.saved_model.load(path)
    serve = model.signatures["serving_default"]

    def predict(images: np.ndarray, model: Any = model) -> np.ndarray:  # keeps the variables alive
        return serve(images=tf.constant(images))["probabilities"].numpy()

    return predict, f"tensorflow {tf.__version__}"


def open_tflite(path: str, threads: int | None = None) -> tuple[Predict, str]:
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
    input_index = interpreter.get_input_details()[0]["index"]
    output_index = interpreter.get_output_details()[0]["index"]
    shape: tuple[int, ...] | None = None

    def predict(images: np.ndarray) -> np.ndarray:
        nonlocal shape
        if images.shape != shape:
            interpreter.resize_tensor_input(input_index, images.shape)
            interpreter.allocate_tensors()
            shape = images.shape
        interpreter.set_tensor(input_index, images)
        interpreter.invoke()
        return interpreter.get_tensor(output_index)

    return predict, name


def open_onnx(path: str, threads: int | None = None) -> tuple[Predict, str]:
    """Open an ONNX file with ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads or 0, 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def predict(images: np.ndarray) -> np.ndarray:
        return session.run(["probabilities"], {"images": images})[0]

    return predict, f"onnxruntime {onnxruntime.__version__}"


def open_openvino(path: str, threads: int | None = None) -> tuple[Predict, str]:
    """Open an OpenVINO file."""
    openvino = import_openvino()
    # Without the hint the processor's own choice may be bfloat16, which is 1e-2 off.
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads:
        options["INFERENCE_NUM_THREADS"] = threads
    model = openvino.Core().compile_model(path, "CPU", options)

    def predict(images: np.ndarray) -> np.ndarray:
        return np.array(model([images])["probabilities"])

    return predict, f"openvino {openvino.__version__.partition('-')[0]}"


def _refuse_pickles(path: str) -> None:
    """Let torch read only arrays from pickles for the rest of the process; refuse other objects."""
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    with zipfile.ZipFile(path) as archive:
        names = [Path(name).name for name in archive.namelist()]
    objects = [name for name in names if name.startswith(("custom_obj_", "opaque_obj_"))]
    if objects:
        raise ValueError(f"it holds the object {objects[0]}, which could run code")


def open_torch(path: str, threads: int | None = None) -> tuple[Predict, str]:
    """Open an exported PyTorch program, without unpickling objects."""
    import torch

    _refuse_pickles(path)
    if threads:
        torch.set_num_threads(threads)
    model = torch.export.load(path).module()

    def predict(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(np.ascontiguousarray(images))).numpy()

    return predict, f"torch {torch.__version__}"


def import_openvino() -> Any:
    """Import and return OpenVINO without its telemetry, which it sends without asking.

    Without the package that sends, it uses a stub of its own.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: cannot be imported
    return import_module("openvino")
