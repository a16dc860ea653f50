"""The export formats, one record each; imports nothing heavy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..backend import BACKENDS
from ..errors import SettingsError, nearest
from . import runtimes

if TYPE_CHECKING:
    import keras
    import numpy as np

    from ..runs.run import Run

QUANTIZATIONS = ("none", "float16", "dynamic", "int8")
SUPPORT = Path(__file__).parent / "support.json"
NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Format:
    """A file format: everything the rest of kmixer knows about it.

    Attributes:
        name: as `--format` takes it.
        file: the file to open, inside the export's folder; `"."` is the folder itself.
        quantizations: the `QUANTIZATIONS` that it supports.
        writer: the module in `exporting/writers/` whose `write` makes the file.
        open: opens the file with its own runtime; see `runtimes.py`.
        usage: Python lines that use the file in its folder, for the model card; `images` stands for
            any uint8 images of the model's size.
        library: its `library_name` on the Hugging Face Hub.
        serving_rank: of a run's exports the one with the lowest rank is served; formats that are
            fast for single images come first.
        backend: the Keras backend that can convert to it.
        modules: modules that have to be installed, beside the backend.
        extra: the extra of kmixer that installs them; None: the plain install does.
        any_size: whether it takes images of any size and resizes them inside.
    """

    name: str
    file: str
    quantizations: tuple[str, ...]
    writer: str
    open: runtimes.Opener
    usage: str
    library: str
    serving_rank: int
    backend: str = "tensorflow"
    modules: tuple[str, ...] = ()
    extra: str | None = None
    any_size: bool = False

    @property
    def requirement(self) -> str:
        """The package to install with pip, such as `kmixer[export]`."""
        return f"kmixer[{self.extra}]" if self.extra else "kmixer"

    def write(
        self,
        model: keras.Model,
        run: Run,
        folder: Path,
        quantize: str,
        representative: np.ndarray | None,
    ) -> None:
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
    library="onnx", serving_rank=2, modules=("tf2onnx", "onnx", "onnxruntime"), extra="export",
    any_size=True,
)  # fmt: skip
OPENVINO = Format(
    "openvino", "model.xml", ("none", "float16"), "to_openvino", runtimes.open_openvino,
    usage=f"""import openvino

{_LABELS}
model = openvino.Core().compile_model("model.xml", "CPU", {{"INFERENCE_PRECISION_HINT": "f32"}})
probabilities = model([images])["probabilities"]
{_PRINT}""",
    library="openvino", serving_rank=3, modules=("openvino",), extra="export",
)  # fmt: skip
TORCH = Format(
    "torch", "model.pt2", ("none",), "to_torch", runtimes.open_torch,
    usage=f"""import torch

{_LABELS}
model = torch.export.load("model.pt2").module()
probabilities = model(torch.from_numpy(images)).detach().numpy()
{_PRINT}""",
    library="pytorch", serving_rank=5, backend="torch", extra="torch",
)  # fmt: skip

FORMATS = {known.name: known for known in (SAVED_MODEL, TFLITE, ONNX, OPENVINO, TORCH)}


def find_format(name: str, quantize: str = "none") -> Format:
    """Return a format that can be written on this machine.

    Raises:
        SettingsError: the format or the quantization is unknown, they do not go together, or a
            module is not installed.
    """
    if name not in FORMATS:
        raise SettingsError(f"--format: received {name!r}{nearest(name, FORMATS)}")
    if quantize not in QUANTIZATIONS:
        raise SettingsError(f"--quantize: received {quantize!r}{nearest(quantize, QUANTIZATIONS)}")
    known = FORMATS[name]
    if quantize not in known.quantizations:
        able = [other.name for other in FORMATS.values() if quantize in other.quantizations]
        raise SettingsError(
            f"--quantize: received {quantize!r} with --format {name}, which has"
            f" {', '.join(known.quantizations)}; {quantize} is for {', '.join(able)}"
        )
    if missing := missing_modules(known):
        raise SettingsError(
            f"--format: {name} needs {', '.join(missing)}; install with:"
            f" pip install {known.requirement!r}"
        )
    return known


def missing_modules(known: Format) -> list[str]:
    """Return the modules that a format needs and this machine does not have."""
    return [module for module in (known.backend, *known.modules) if find_spec(module) is None]


def support() -> dict[str, str]:
    """Return which cells of backend × format × quantization work, as a test has tried them.

    Returns:
        By `"<backend>/<format>/<quantization>"`: `"ok"`, the reason why not, or `"not tried"`.
    """
    cells = {
        cell_name(backend, known, quantize): NOT_TRIED
        for backend in BACKENDS
        for known in FORMATS.values()
        for quantize in known.quantizations
    }
    return cells | json.loads(SUPPORT.read_text(encoding="utf-8"))


def cell_name(backend: str, known: Format, quantize: str) -> str:
    """Return the name of a cell in `support()`."""
    return f"{backend}/{known.name}/{quantize}"
