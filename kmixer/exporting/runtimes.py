"""Runtimes that open exported files: what their openers in `formats.py` share; needs no Keras."""

import os
import re
import sys
import zipfile
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import import_tensorflow
from .contents import Contents

Predict = Callable[[np.ndarray], np.ndarray]
Opener = Callable[[Contents, int | None], tuple[Predict, str]]
Examiner = Callable[[Contents, np.ndarray, np.ndarray], dict[str, Any]]


def import_openvino() -> Any:
    """Import and return OpenVINO without its telemetry, which it sends without asking.

    Without the package that sends, it uses a stub of its own.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: cannot be imported
    return import_module("openvino")


def litert_interpreter(
    content: bytes, threads: int | None = None, reference: bool = False
) -> tuple[Any, str]:
    """Open a TFLite model with LiteRT, or with TensorFlow where that is missing.

    Args:
        content: of the file.
        threads: to compute with; None: as many as the runtime takes.
        reference: with the plain kernels, which define what an operator answers, not the fast ones.

    Returns:
        (the interpreter, the runtime's name and version).

    Raises:
        ValueError: the file is damaged, or holds TensorFlow's own operations.
    """
    if find_spec("ai_edge_litert"):
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        name = f"ai-edge-litert {version('ai-edge-litert')}"
    else:
        tf = import_tensorflow()
        Interpreter, name = tf.lite.Interpreter, f"tensorflow.lite {tf.__version__}"  # noqa: N806
        OpResolverType = tf.lite.experimental.OpResolverType  # noqa: N806
    refuse_flex(content)
    kernels = OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
    interpreter = Interpreter(
        model_content=content, num_threads=threads, experimental_op_resolver_type=kernels
    )
    return interpreter, name


def refuse_flex(content: bytes) -> None:
    """Refuse a TFLite model with TensorFlow's own operations: some of them write files.

    LiteRT does not know them; `tensorflow.lite`, which stands in for it, runs them. Their names are
    texts of the file, each behind its length, wherever the operation is: in a loop's body, too.
    """
    for found in re.finditer(rb"Flex\w+", content):
        length = content[max(found.start() - 4, 0) : found.start()]
        if length == len(found[0]).to_bytes(4, "little"):
            name = found[0].decode()
            raise ValueError(f"it holds the operation {name}, which may do more than compute")


def refuse_pickles(content: bytes) -> None:
    """Let torch read only arrays from pickles for the rest of the process; refuse other objects."""
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    with zipfile.ZipFile(BytesIO(content)) as archive:
        names = [Path(name).name for name in archive.namelist()]
    objects = [name for name in names if name.startswith(("custom_obj_", "opaque_obj_"))]
    if objects:
        raise ValueError(f"it holds the object {objects[0]}, which could run code")
