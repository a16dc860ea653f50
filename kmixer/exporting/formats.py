"""The export formats, one record each; imports nothing heavy.

Above each record stands its `Opener`: it takes the content of the export's files by their names,
and the number of threads that the runtime may use (None: its own choice). It returns a `Predict`, a
function of uint8 images `(n, height, width, channels)` → float32 probabilities `(n, classes)`, and
the runtime's name and version. It needs no Keras. It opens what is in memory and never the files
themselves: they may be changed later, and a runtime that maps them would follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import import_tensorflow
from ..files.private_folder import as_folder
from .browser import lacking_browser
from .c_compiler import compiled, lacking_compiler
from .contents import Contents
from .graph_check import check_graph
from .opened_page import opened_page
from .runtimes import (
    Examiner,
    Opener,
    Predict,
    import_openvino,
    litert_interpreter,
    refuse_pickles,
)
from .torch_program import checked_program

if TYPE_CHECKING:
    import keras

    from ..runs.run import Run

QUANTIZATIONS = ("none", "float16", "dynamic", "int8")


@dataclass(frozen=True)
class Format:
    """A file format: everything the rest of kmixer knows about it.

    Attributes:
        name: as `--format` takes it.
        file: the file to open, inside the export's folder; `"."` is the folder itself.
        quantizations: the `QUANTIZATIONS` that it supports.
        writer: the module in `exporting/writers/` whose `write` makes the file.
        open: opens the file with its own runtime.
        usage: lines that use the file in its folder, for the model card; in Python, `images` stands
            for any uint8 images of the model's size.
        library: its `library_name` on the Hugging Face Hub.
        serving_rank: of a run's exports the one with the lowest rank is served; formats that are
            fast for single images come first. None: no export of it is opened, but by the proof of
            the one that was just written.
        backend: the Keras backend that can convert to it; None: each can.
        modules: modules that have to be installed, beside the backend.
        extra: the extra of kmixer that installs them; None: the plain install does.
        any_size: whether it takes images of any size and resizes them inside.
        parts: the files that opening it needs, where they are not `file` alone.
        language: of the lines of use, as a Markdown fence names it; "text": they are a sentence.
        threaded: whether its runtime can use several threads.
        program: what it needs beside packages, in words.
        lacks: returns what it needs beside modules and this machine does not have, in words; None:
            nothing.
        examine: what its proof has beside the answers: takes the content of the files, the images
            that were asked about and the probabilities that were received, and returns what the
            manifest is to say of it under `details`; raises RunError if the file is not to be kept.
        guide: Markdown for the model card, with `{names}` of `details`: how to go on from here.

    What a writer puts into the folder `artifact.SOURCES` of the export is for compilers; it is
    listed in the manifest, and no part of the model's size.
    """

    name: str
    file: str
    quantizations: tuple[str, ...]
    writer: str
    open: Opener
    usage: str
    library: str
    serving_rank: int | None
    backend: str | None = "tensorflow"
    modules: tuple[str, ...] = ()
    extra: str | None = None
    any_size: bool = False
    parts: tuple[str, ...] = ()
    language: str = "python"
    threaded: bool = True
    program: str | None = None
    lacks: Callable[[], str | None] = lambda: None
    examine: Examiner | None = None
    guide: str = ""

    @property
    def default_quantization(self) -> str:
        """The one that is written where none is asked for."""
        return self.quantizations[0]

    @property
    def needed_files(self) -> tuple[str, ...]:
        """The files without which it cannot be opened."""
        return self.parts or (self.file,)

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
    ) -> str | None:
        """Write a model in this format; see `writers/saved_model.py`.

        Returns:
            The least runtime that opens the file, such as `"TensorFlow Lite 2.9.0"`; None: the file
            does not say.
        """
        module = import_module(f".writers.{self.writer}", __package__)
        least_runtime: str | None = module.write(model, run, folder, quantize, representative)
        return least_runtime


_LABELS = 'labels = open("labels.txt", encoding="utf-8").read().splitlines()'
_PRINT = "print(labels[probabilities[0].argmax()])"


def _open_saved_model(files: Contents, threads: int | None = None) -> tuple[Predict, str]:
    """Open a SavedModel with TensorFlow."""
    tf = import_tensorflow()
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    with as_folder(files) as folder:
        check_graph(folder)
        model = tf.saved_model.load(folder)
    serve = model.signatures["serving_default"]

    def predict(images: np.ndarray, model: Any = model) -> np.ndarray:  # keeps the variables alive
        return serve(images=tf.constant(images))["probabilities"].numpy()

    return predict, f"tensorflow {tf.__version__}"


SAVED_MODEL = Format(
    "saved_model", ".", ("none",), "saved_model", _open_saved_model,
    usage=f"""import tensorflow as tf

{_LABELS}
model = tf.saved_model.load(".").signatures["serving_default"]
probabilities = model(images=tf.constant(images))["probabilities"].numpy()
{_PRINT}""",
    library="tf-keras", serving_rank=4, any_size=True, parts=("saved_model.pb",),
)  # fmt: skip


def _open_tflite(files: Contents, threads: int | None = None) -> tuple[Predict, str]:
    """Open a TFLite file with LiteRT, or with TensorFlow where that is missing."""
    interpreter, name = litert_interpreter(files[TFLITE.file], threads)
    input_index = interpreter.get_input_details()[0]["index"]
    output_index = interpreter.get_output_details()[0]["index"]
    shape: tuple[int, ...] | None = None

    def predict(images: np.ndarray) -> np.ndarray:
        nonlocal shape
        if images.shape != shape:
            # strict: only where the file leaves a side open; another one would give other answers
            interpreter.resize_tensor_input(input_index, images.shape, strict=True)
            interpreter.allocate_tensors()
            shape = images.shape
        interpreter.set_tensor(input_index, images)
        interpreter.invoke()
        return interpreter.get_tensor(output_index)

    return predict, name


TFLITE = Format(
    "tflite", "model.tflite", QUANTIZATIONS, "tflite", _open_tflite,
    usage=f"""from ai_edge_litert.interpreter import Interpreter  # or tensorflow.lite's

{_LABELS}
model = Interpreter("model.tflite").get_signature_runner()
probabilities = model(images=images)["probabilities"]
{_PRINT}""",
    library="tflite", serving_rank=1,
)  # fmt: skip


def _open_onnx(files: Contents, threads: int | None = None) -> tuple[Predict, str]:
    """Open an ONNX file with ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads or 0, 3
    content = files[ONNX.file]  # alone: one that keeps weights in other files is refused
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def predict(images: np.ndarray) -> np.ndarray:
        return session.run(["probabilities"], {"images": images})[0]

    return predict, f"onnxruntime {onnxruntime.__version__}"


ONNX = Format(
    "onnx", "model.onnx", QUANTIZATIONS, "to_onnx", _open_onnx,
    usage=f"""import onnxruntime

{_LABELS}
model = onnxruntime.InferenceSession("model.onnx")
probabilities = model.run(["probabilities"], {{"images": images}})[0]
{_PRINT}""",
    library="onnx", serving_rank=2, modules=("tf2onnx", "onnx", "onnxruntime"), extra="export",
    any_size=True,
)  # fmt: skip


def _open_openvino(files: Contents, threads: int | None = None) -> tuple[Predict, str]:
    """Open an OpenVINO file."""
    openvino = import_openvino()
    # Without the hint the processor's own choice may be bfloat16, which is 1e-2 off.
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads:
        options["INFERENCE_NUM_THREADS"] = threads
    core = openvino.Core()
    read = core.read_model(model=files["model.xml"], weights=files["model.bin"])
    model = core.compile_model(read, "CPU", options)

    def predict(images: np.ndarray) -> np.ndarray:
        return np.array(model([images])["probabilities"])

    return predict, f"openvino {openvino.__version__.partition('-')[0]}"


OPENVINO = Format(
    "openvino", "model.xml", ("none", "float16"), "to_openvino", _open_openvino,
    usage=f"""import openvino

{_LABELS}
model = openvino.Core().compile_model("model.xml", "CPU", {{"INFERENCE_PRECISION_HINT": "f32"}})
probabilities = model([images])["probabilities"]
{_PRINT}""",
    library="openvino", serving_rank=3, modules=("openvino",), extra="export",
    parts=("model.xml", "model.bin"),
)  # fmt: skip


def _open_torch(files: Contents, threads: int | None = None) -> tuple[Predict, str]:
    """Open an exported PyTorch program, without unpickling objects."""
    import torch

    content = files[TORCH.file]
    refuse_pickles(content)
    content = checked_program(content)
    if threads:
        torch.set_num_threads(threads)
    model = torch.export.load(BytesIO(content)).module()

    def predict(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(np.ascontiguousarray(images))).numpy()

    return predict, f"torch {torch.__version__}"


TORCH = Format(
    "torch", "model.pt2", ("none",), "to_torch", _open_torch,
    usage=f"""import torch

{_LABELS}
model = torch.export.load("model.pt2").module()
probabilities = model(torch.from_numpy(images)).detach().numpy()
{_PRINT}""",
    library="pytorch", serving_rank=5, backend="torch", extra="torch",
)  # fmt: skip


def _open_c(files: Contents, threads: int | None = None) -> tuple[Predict, str]:
    """Compile a C header and call it: it is code, and nothing looks at what it does."""
    with as_folder(files) as folder:
        return compiled(Path(folder, C.file))


C = Format(
    "c", "model.h", ("none",), "to_c", _open_c,
    usage="""folder=$(mktemp -d)
python3 -c "from PIL import Image; Image.open('example.png').save('$folder/example.ppm')"
cc -std=c99 -O3 example.c -o "$folder/example" -lm
"$folder/example" "$folder/example.ppm\"""",
    library="c", serving_rank=None, backend=None, language="sh", threaded=False,
    program="a C compiler", lacks=lacking_compiler,
)  # fmt: skip


def _open_web(files: Contents, threads: int | None = None) -> tuple[Predict, str]:
    """Open a page in Chromium."""
    return opened_page(files, WEB.file)


WEB = Format(
    "web", "model.html", ("none", "float16"), "web", _open_web,
    usage="Open `model.html` in a browser of 2023 or newer: a double click will do. It needs no"
    " network, and shows no image to anybody.",
    language="text",
    library="kmixer", serving_rank=None, backend=None, threaded=False,
    program="Chromium or Chrome", lacks=lacking_browser,
)  # fmt: skip

_MICRO_GUIDE = """## On a chip

`source/` holds what a program for TensorFlow Lite Micro needs: the model as a C array
(`model_data.c`, `model_data.h`), its operators (`model_operators.h`), images with the bytes that
have to come out (`test_vectors.h`), and `main.cc`, which compares them. In that folder, with a tree
that `tensorflow/lite/micro/tools/project_generation/create_tflm_tree.py` of
github.com/tensorflow/tflite-micro has written:

```sh
make TFLM=/path/to/tree && ./model_test
```

A pixel less 128 goes in, and a probability times 256, less 128, comes out. The model takes
{flash_bytes:,} bytes of flash and {arena_bytes:,} bytes of working memory, not counted
{not_counted}.
The interpreter measured the memory on a machine with 64-bit pointers and plain kernels: a chip with
32-bit pointers needs less, kernels such as CMSIS-NN's have buffers besides, and
`arena_used_bytes()` tells."""


def _open_micro(files: Contents, threads: int | None = None) -> tuple[Predict, str]:
    """Open a file with the kernels of TensorFlow Lite Micro, which have one thread."""
    from . import micro_runtime

    content = files[MICRO.file]
    micro_runtime.open_litert(content)  # refuses what is not sound
    chip = micro_runtime.open_chip(content)

    def predict(images: np.ndarray) -> np.ndarray:
        outputs = [chip(image[None]) for image in images]
        return micro_runtime.as_probabilities(np.concatenate(outputs))

    return predict, f"tflite-micro {version('tflite-micro')}"


def _examine_micro(
    files: Contents, images: np.ndarray, probabilities: np.ndarray
) -> dict[str, Any]:
    from . import micro_runtime

    return micro_runtime.examine(files[MICRO.file], images, probabilities)


MICRO = Format(
    "micro", "model.tflite", ("int8",), "micro", _open_micro,
    usage=f"""from tflite_micro import runtime

{_LABELS}
model = runtime.Interpreter.from_file("model.tflite")
model.set_input((images[:1] ^ 128).view(np.int8), 0)  # each pixel less 128
model.invoke()
probabilities = (model.get_output(0) + 128.0) / 256
{_PRINT}""",
    library="tflite", serving_rank=6, modules=("tflite_micro",), extra="micro", threaded=False,
    examine=_examine_micro, guide=_MICRO_GUIDE,
)  # fmt: skip

FORMATS = {
    known.name: known for known in (SAVED_MODEL, TFLITE, ONNX, OPENVINO, TORCH, C, WEB, MICRO)
}
