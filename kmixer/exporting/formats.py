"""What a trained model can leave as; imports nothing heavy."""

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..errors import SettingsError, nearest

QUANTIZATIONS = ("none", "float16", "dynamic", "int8")
SUPPORT = Path(__file__).parent / "support.json"


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        file: what is opened, inside the export's folder; `"."` is the folder itself.
        quantizations: which of `QUANTIZATIONS` it can have.
        backend: the Keras backend that can convert to it.
        modules: what has to be installed beside it.
        any_size: whether it takes images of any size and resizes them inside.
    """

    name: str
    file: str
    quantizations: tuple[str, ...]
    backend: str = "tensorflow"
    modules: tuple[str, ...] = ()
    any_size: bool = False


FORMATS = {
    form.name: form
    for form in (
        Format("saved_model", ".", ("none",), any_size=True),
        Format("tflite", "model.tflite", QUANTIZATIONS),
        Format("onnx", "model.onnx", QUANTIZATIONS, modules=("tf2onnx", "onnx", "onnxruntime"),
               any_size=True),
        Format("openvino", "model.xml", ("none", "float16"), modules=("openvino",)),
        Format("torch", "model.pt2", ("none",), backend="torch"),
    )
}  # fmt: skip


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
