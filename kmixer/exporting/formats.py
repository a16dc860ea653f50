"""The export formats, one record each; imports nothing heavy."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from ..errors import SettingsError, nearest
from . import runtimes

QUANTIZATIONS = ("none", "float16", "dynamic", "int8")
SUPPORT = Path(__file__).parent / "support.json"


@dataclass(frozen=True)
class Format:
    """A file format: all that the rest of kmixer knows of it.

    Attributes:
        name: as `--format` takes it.
        file: what is opened, inside the export's folder; `"."` is the folder itself.
        quantizations: which of `QUANTIZATIONS` it can have.
        writer: the module in `exporting/writers/` whose `write` makes the file.
        open: opens the file with its own runtime; see `runtimes.py`.
        usage: Python lines that use the file in its folder, for the model card; `images` stands for
            any uint8 images of the model's size.
        library: its `library_name` on the Hugging Face Hub.
        serving_rank: which export of a run is served, if it has several: the lowest; formats that
            are fast for single images come first.
        backend: the Keras backend that can convert to it.
        modules: what has to be installed beside it.
        any_size: whether it takes images of any size and resizes them inside.
    """

    name: str
    file: str
    quantizations: tuple[str, ...]
    writer: str
    open: Callable
    usage: str
    library: str
    serving_rank: int
    backend: str = "tensorflow"
    modules: tuple[str, ...] = ()
    any_size: bool = False

    def write(self, model, run, folder, quantize, representative):
        """Write a model in this format; see `writers/saved_model.py`."""
        module = import_module(f".writers.{self.writer}", __package__)
        module.write(model, run, folder, quantize, representative)


_LABELS = 'labels = open("labels.txt", encoding="utf-8").read().splitlines()'
_PRINT = "print(labels[probabilities[0].argmax()])"

SAVED_MODEL = Format(
    "saved_model", ".", ("none",), "saved_model", runtimes.open_saved_model,
    usage=f"""import tensorflow as tf

{_LABELS}
model = tf.saved_model.load(".").signatures["serving_default"]
probabilities = model(images=tf.constant(images))["probabilities"].numpy()
{_PRINT}""",
    library="tf-keras", serving_rank=4, any_size=True,
)  # fmt: skip
TFLITE = Format(
    "tflite", "model.tflite", QUANTIZATIONS, "tflite", runtimes.open_tflite,
    usage=f"""from ai_edge_litert.interpreter import Interpreter  # or tensorflow.lite's

{_LABELS}
model = Interpreter("model.tflite").get_signature_runner()
probabilities = model(images=images)["probabilities"]
{_PRINT}""",
    library="tflite", serving_rank=1,
)  # fmt: skip
ONNX = Format(
    "onnx", "model.onnx", QUANTIZATIONS, "to_onnx", runtimes.open_onnx,
    usage=f"""import onnxruntime

{_LABELS}
model = onnxruntime.InferenceSession("model.onnx")
probabilities = model.run(["probabilities"], {{"images": images}})[0]
{_PRINT}""",
    library="onnx", serving_rank=2, modules=("tf2onnx", "onnx", "onnxruntime"), any_size=True,
)  # fmt: skip
OPENVINO = Format(
    "openvino", "model.xml", ("none", "float16"), "to_openvino", runtimes.open_openvino,
    usage=f"""import openvino

{_LABELS}
model = openvino.Core().compile_model("model.xml", "CPU", {{"INFERENCE_PRECISION_HINT": "f32"}})
probabilities = model([images])["probabilities"]
{_PRINT}""",
    library="openvino", serving_rank=3, modules=("openvino",),
)  # fmt: skip
TORCH = Format(
    "torch", "model.pt2", ("none",), "to_torch", runtimes.open_torch,
    usage=f"""import torch

{_LABELS}
model = torch.export.load("model.pt2").module()
probabilities = model(torch.from_numpy(images)).detach().numpy()
{_PRINT}""",
    library="pytorch", serving_rank=5, backend="torch",
)  # fmt: skip

FORMATS = {form.name: form for form in (SAVED_MODEL, TFLITE, ONNX, OPENVINO, TORCH)}


def find_format(name, quantize="none"):
    """Return a `Format` that can be written on this machine.

    Raises:
        SettingsError: there is no such format or quantisation, they do not go together, or what
            writes it is not installed.
    """
    if name not in FORMATS:
        raise SettingsError(f"--format: received {name!r}{nearest(name, FORMATS)}")
    if quantize not in QUANTIZATIONS:
        raise SettingsError(f"--quantize: received {quantize!r}{nearest(quantize, QUANTIZATIONS)}")
    form = FORMATS[name]
    if quantize not in form.quantizations:
        able = [other.name for other in FORMATS.values() if quantize in other.quantizations]
        raise SettingsError(
            f"--quantize: received {quantize!r} with --format {name}, which has"
            f" {', '.join(form.quantizations)}; {quantize} is for {', '.join(able)}"
        )
    missing = missing_modules(form)
    if missing:
        extra = "torch" if "torch" in missing else "export"
        raise SettingsError(
            f"--format: {name} needs {', '.join(missing)}; install with:"
            f" pip install 'kmixer[{extra}]'"
        )
    return form


def missing_modules(form):
    """Return which modules a format needs and this machine has not."""
    return [module for module in (form.backend, *form.modules) if find_spec(module) is None]


def support():
    """Return what a test found when it tried every cell.

    Returns:
        A dict by `"<backend>/<format>/<quantization>"` of `"ok"` or the reason why not.
    """
    return json.loads(SUPPORT.read_text(encoding="utf-8"))
