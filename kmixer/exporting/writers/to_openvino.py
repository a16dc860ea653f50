"""Write a Keras model for OpenVINO, through a SavedModel."""

import tempfile
from pathlib import Path

import keras
import numpy as np

from ...runs.run import Run
from ..runtimes import import_openvino
from . import traced
from .saved_model import save


def write(
    model: keras.Model, run: Run, folder: Path, quantize: str, representative: np.ndarray | None
) -> None:
    """Write `model.xml` and `model.bin`; images of the size trained on.

    Args:
        model: see `saved_model.write`.
        run: see `saved_model.write`.
        folder: see `saved_model.write`.
        quantize: `"none"` or `"float16"` (weights).
        representative: not used.
    """
    openvino = import_openvino()
    function = traced.fixed_size(model, tuple(run.info["input_shape"]))
    with tempfile.TemporaryDirectory() as temporary:
        save(model, function, temporary)
        converted = openvino.convert_model(temporary)
        openvino.save_model(converted, folder / "model.xml", compress_to_fp16=quantize == "float16")
