"""Write a Keras model as ONNX, through TensorFlow's graph."""

import tempfile
from pathlib import Path

import keras
import numpy as np

from ...runs.run import Run
from . import traced

OPSET = 18


def write(
    model: keras.Model, run: Run, folder: Path, quantize: str, representative: np.ndarray | None
) -> None:
    """Write `model.onnx`; images of any size.

    Args:
        model: see `saved_model.write`.
        run: see `saved_model.write`.
        folder: see `saved_model.write`.
        quantize: `"none"`, `"float16"`, `"dynamic"` or `"int8"`.
        representative: for `"int8"`, uint8 training images.
    """
    import tf2onnx

    function = traced.any_size(model, tuple(run.info["input_shape"]), run.settings.data.fit)
    path = folder / "model.onnx"
    with tempfile.TemporaryDirectory() as temporary:
        plain = str(Path(temporary) / "plain.onnx") if quantize != "none" else str(path)
        tf2onnx.convert.from_function(
            function, input_signature=function.input_signature, opset=OPSET, output_path=plain
        )
        if quantize != "none":
            _QUANTIZE[quantize](plain, str(path), representative)


def _resize_nodes(path: str) -> list[str]:
    """Return the names of the nodes that fit images to the model's size; they stay in float32."""
    import onnx

    nodes = onnx.load(path).graph.node
    return [node.name for node in nodes if f"{traced.RESIZE}/" in node.name]


def _float16(plain: str, path: str, representative: np.ndarray | None) -> None:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = convert_float_to_float16(
        onnx.load(plain), keep_io_types=True, node_block_list=_resize_nodes(plain)
    )
    # Where two operations need the same cast, the converter writes two nodes of one name.
    once = list({node.output[0]: node for node in reversed(model.graph.node)}.values())[::-1]
    del model.graph.node[:]
    model.graph.node.extend(once)
    for number, node in enumerate(model.graph.node):
        node.name = f"node_{number}"
    onnx.save(model, path)


def _dynamic(plain: str, path: str, representative: np.ndarray | None) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(plain, path, weight_type=QuantType.QInt8)


def _int8(plain: str, path: str, representative: np.ndarray | None) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    assert representative is not None  # the exporter requires a data set for int8
    images = iter(representative)

    class Reader(CalibrationDataReader):
        """Reads the representative images one at a time."""

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(images, None)
            return None if image is None else {"images": np.ascontiguousarray(image[None])}

    quantize_static(
        plain, path, Reader(), quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["MatMul", "Gemm", "Conv"], nodes_to_exclude=_resize_nodes(plain),
    )  # fmt: skip


_QUANTIZE = {"float16": _float16, "dynamic": _dynamic, "int8": _int8}
