"""Write a Keras model for TensorFlow Lite Micro: 8-bit integers throughout, one image at a time."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from ...errors import RunError
from ...files.text import read_text
from ...layers.activations import gelu_tanh
from ...runs.run import LABELS_FILE, Run
from .. import micro_runtime
from ..artifact import SOURCES
from . import micro_sources, tflite, traced
from .convolutions import builtin_operator, dense_as_convolutions

TEST_VECTORS = 8
PLAN_BYTES = 128  # a tensor; more than the interpreter notes about it while it plans
GELU_SLOPE = 1.702  # of the logistic form (Hendrycks and Gimpel, arXiv 1606.08415, section 2)
# The method of `MicroMutableOpResolver` that registers an operator, by the operator's name; from
# tensorflow/lite/micro/micro_mutable_op_resolver.h of github.com/tensorflow/tflite-micro.
RESOLVER_METHODS = {
    "ADD": "AddAdd",
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "BATCH_MATMUL": "AddBatchMatMul",
    "CONCATENATION": "AddConcatenation",
    "CONV_2D": "AddConv2D",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "EXPAND_DIMS": "AddExpandDims",
    "FULLY_CONNECTED": "AddFullyConnected",
    "L2_NORMALIZATION": "AddL2Normalization",
    "LEAKY_RELU": "AddLeakyRelu",
    "LOGISTIC": "AddLogistic",
    "MAX_POOL_2D": "AddMaxPool2D",
    "MEAN": "AddMean",
    "MUL": "AddMul",
    "PAD": "AddPad",
    "PADV2": "AddPadV2",
    "QUANTIZE": "AddQuantize",
    "RELU": "AddRelu",
    "RESHAPE": "AddReshape",
    "RESIZE_BILINEAR": "AddResizeBilinear",
    "SLICE": "AddSlice",
    "SOFTMAX": "AddSoftmax",
    "SQUEEZE": "AddSqueeze",
    "STRIDED_SLICE": "AddStridedSlice",
    "SUB": "AddSub",
    "TANH": "AddTanh",
    "TRANSPOSE": "AddTranspose",
}
_NAMES = {number: name for name, number in vars(schema.BuiltinOperator).items() if name[0] != "_"}


def write(
    model: keras.Model, run: Run, folder: Path, quantize: str, representative: np.ndarray | None
) -> None:
    """Write `model.tflite`, and sources that run it on a chip into the folder `source/`.

    Args:
        model: see `saved_model.write`.
        run: see `saved_model.write`.
        folder: see `saved_model.write`.
        quantize: `"int8"`.
        representative: uint8 training images `(n, height, width, channels)`; of the first are the
            test vectors.

    Raises:
        RunError: the model needs an operator that TensorFlow Lite Micro lacks, or it does not run
            the file.
    """
    assert representative is not None  # the exporter requires a data set for int8
    packed = converted(model, tuple(run.info["input_shape"]), representative)
    methods = _resolver_methods(packed)
    content = bytes(flatbuffer_utils.convert_object_to_bytearray(packed))
    (folder / "model.tflite").write_bytes(content)
    images = representative[:TEST_VECTORS]
    arena = micro_runtime.arena_bytes(content)
    plan = PLAN_BYTES * len(packed.subgraphs[0].tensors)
    chip = micro_runtime.open_chip(content, arena + plan)  # as the written program does
    micro_sources.write(
        folder / SOURCES,
        content=content,
        arena=arena,
        plan=plan,
        methods=methods,
        labels=read_text(run.folder / LABELS_FILE).splitlines(),
        inputs=micro_runtime.as_integers(images),
        outputs=np.concatenate([chip(image[None]) for image in images]),
    )


def converted(model: keras.Model, image_shape: traced.ImageShape, images: np.ndarray) -> Any:
    """Return the unpacked file of a model, a `ModelT`.

    Args:
        model: uint8 images → logits.
        image_shape: (height, width, channels).
        images: uint8 images to calibrate with.
    """
    function = traced.fixed_size(
        model, image_shape, representative=images, batch=1, activate=activate
    )
    packed = tflite.converted(model, function, "int8", images, integer_ends=True)
    packed.signatureDefs = packed.metadata = None  # a chip reads neither
    dense_as_convolutions(packed)
    return packed


def activate(activation: traced.Activation, y: traced.Tensor) -> traced.Tensor:
    """Compute an activation in operators that TensorFlow Lite Micro has, which lacks GELU.

    Both forms of GELU become x·σ(1.702x), written as z·σ(z) of z = 1.702x, so that the converter
    can move the factors into the weights before and behind it (docs/adr/0038).
    """
    if activation not in (keras.activations.gelu, gelu_tanh):
        return activation(y)
    z = y * np.float32(GELU_SLOPE)
    return z * tf.sigmoid(z) * np.float32(1 / GELU_SLOPE)


def _resolver_methods(packed: Any) -> list[str]:
    """Return what registers the operators of a file, a `ModelT`, sorted.

    A file may list operators that none of its layers is any more, such as FULLY_CONNECTED; a chip
    needs no kernel for them.

    Raises:
        RunError: one of them is not of TensorFlow Lite Micro.
    """
    used = {operator.opcodeIndex for graph in packed.subgraphs for operator in graph.operators}
    names = sorted({_operator_name(packed.operatorCodes[index]) for index in used})
    if missing := [name for name in names if name not in RESOLVER_METHODS]:
        raise RunError(
            f"the model needs the operator {', '.join(missing)}, which TensorFlow Lite Micro does"
            " not have for integers; --format tflite writes it"
        )
    return [RESOLVER_METHODS[name] for name in names]


def _operator_name(code: Any) -> str:
    if code.customCode is not None:
        return code.customCode.decode()
    return _NAMES[builtin_operator(code)]
