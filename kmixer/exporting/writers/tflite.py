"""Write a Keras model for TensorFlow Lite: in float, with 8-bit weights, or all in integers."""

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.tools import flatbuffer_utils

from ...files.text import read_text
from ...runs.run import LABELS_FILE, Run
from . import tflite_metadata, traced
from .saved_model import save


def write(
    model: keras.Model, run: Run, folder: Path, quantize: str, representative: np.ndarray | None
) -> str | None:
    """Write `model.tflite`: images of the size trained on, in batches of any size.

    Args:
        model: see `saved_model.write`.
        run: see `saved_model.write`.
        folder: see `saved_model.write`.
        quantize: `"none"`, `"float16"` (weights), `"dynamic"` (8-bit weights, float activations) or
            `"int8"` (integers throughout).
        representative: for `"int8"`, uint8 training images `(n, height, width, channels)`.

    Returns:
        The least runtime that opens the file.
    """
    function = traced.fixed_size(
        model, tuple(run.info["input_shape"]), representative=representative
    )
    packed = converted(model, function, quantize, representative)
    tflite_metadata.describe(packed, run)
    content = flatbuffer_utils.convert_object_to_bytearray(packed)
    path = folder / "model.tflite"
    path.write_bytes(content)
    labels = read_text(run.folder / LABELS_FILE)
    tflite_metadata.append_labels(path, labels)
    return tflite_metadata.least_runtime(packed)


def converted(
    model: keras.Model,
    function: Any,
    quantize: str,
    representative: np.ndarray | None,
    integer_ends: bool = False,
) -> Any:
    """Convert a function of `traced.fixed_size`.

    Args:
        model: the model whose variables the function reads.
        function: see above.
        quantize: see `write`.
        representative: see `write`.
        integer_ends: whether int8 pixels go in, each less 128, and int8 probabilities come out, for
            runtimes without other types.

    Returns:
        The unpacked file, a `ModelT`, without the names of inner tensors: a tenth of a small file.
    """
    with tempfile.TemporaryDirectory() as temporary:
        save(model, function, temporary)
        converter = tf.lite.TFLiteConverter.from_saved_model(temporary)
        _quantize(converter, quantize, representative)
        if integer_ends:
            converter.inference_input_type = converter.inference_output_type = tf.int8
        content = bytearray(converter.convert())
    packed = flatbuffer_utils.read_model_from_bytearray(content)
    signatures = packed.signatureDefs
    flatbuffer_utils.strip_strings(packed)
    packed.signatureDefs = signatures
    return packed


def _quantize(converter: Any, quantize: str, representative: np.ndarray | None) -> None:
    if quantize == "none":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8":
        assert representative is not None  # the exporter requires a data set for int8
        images = _whole_range(representative)
        converter.representative_dataset = lambda: (
            [image[None].astype(np.float32)] for image in images
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
    if quantize in ("dynamic", "int8"):
        # One scale for a whole kernel instead of one a column: as accurate here, the file is an
        # eighth smaller (docs/export.md), and with float arithmetic TFLite opens it from 2.9 on
        # instead of from 2.17.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True


def _whole_range(images: np.ndarray) -> np.ndarray:
    """Return a copy of the images with a black and a white pixel in the first.

    Pixels can go in as they are only if the scale of the input is 1; for that the calibration has
    to see 0 and 255.
    """
    images = images.copy()
    images[0, 0, 0], images[0, 0, -1] = 0, 255  # two corners
    return images
