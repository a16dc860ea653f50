"""Make the dense layers of a file of integers convolutions of one pixel (docs/adr/0038).

Both multiply the same numbers. But the kernels of dense layers round differently in LiteRT and in
TensorFlow Lite Micro, those of convolutions alike.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from ...errors import RunError

RANK = 4  # of a convolution's tensors: (batch, rows, columns, channels)
OPERATORS = schema.BuiltinOperator
CONV_VERSION = 3  # of the operator, the first for int8
# Whose numbers do not move: they take tensors of any rank.
ELEMENTWISE = frozenset({
    OPERATORS.ADD, OPERATORS.MUL, OPERATORS.SUB, OPERATORS.LOGISTIC, OPERATORS.TANH, OPERATORS.RELU,
    OPERATORS.LEAKY_RELU, OPERATORS.L2_NORMALIZATION, OPERATORS.QUANTIZE,
})  # fmt: skip


def dense_as_convolutions(packed: Any) -> None:
    """Change a file, a `ModelT` with a batch of one image, in place.

    Tensors of lower rank get leading ones, but for the logits and the probabilities.

    Raises:
        RunError: an operator moves numbers in a way that is not known here.
    """
    graph = _Graph(packed)
    graph.raise_ranks()
    for operator in list(graph.operators):
        code = graph.code(operator)
        if code == OPERATORS.FULLY_CONNECTED:
            graph.convolve(operator)
        elif code in _MOVES:
            _MOVES[code](graph, operator)
        elif code == OPERATORS.SOFTMAX:
            graph.flatten_before(operator)
        elif code not in ELEMENTWISE and graph.lowest_rank(operator) < RANK:
            raise RunError(
                f"the model has operator {code} of {graph.lowest_rank(operator)} dimensions,"
                f" expected {RANK} on a chip; --format tflite writes it"
            )


class _Graph:
    """The operators and tensors of a file."""

    def __init__(self, packed: Any) -> None:
        self.packed, (graph,) = packed, packed.subgraphs
        self.operators, self.tensors = graph.operators, graph.tensors
        outputs = [int(index) for operator in self.operators for index in operator.outputs]
        self.values = [*map(int, graph.inputs), *outputs]  # but for constants
        self.ranks = {index: len(self.tensors[index].shape) for index in self.values}
        self.ends = {
            int(index)
            for operator in self.operators
            if self.code(operator) == OPERATORS.SOFTMAX
            for index in (operator.inputs[0], operator.outputs[0])
        }

    def code(self, operator: Any) -> int:
        """Return which operator it is."""
        return builtin_operator(self.packed.operatorCodes[operator.opcodeIndex])

    def lowest_rank(self, operator: Any) -> int:
        """Return the lowest rank that a value of an operator had."""
        values = (*map(int, operator.inputs), *map(int, operator.outputs))
        return min(self.ranks.get(index, RANK) for index in values)

    def raise_ranks(self) -> None:
        """Give every value but the logits and the probabilities four dimensions."""
        for index in self.values:
            if index not in self.ends:
                tensor = self.tensors[index]
                tensor.shape = raised([int(side) for side in tensor.shape])
                tensor.shapeSignature = None

    def convolve(self, operator: Any) -> None:
        """Make a dense layer a convolution of one pixel."""
        value, kernel, *bias = (int(index) for index in operator.inputs)
        width, inputs = (self.tensors[kernel].shape[end] for end in (0, -1))
        self.tensors[kernel].shape = [int(width), 1, 1, int(inputs)]
        if not bias or bias[0] < 0:  # LiteRT's convolution needs one
            bias = [self._no_bias(value, kernel, int(width))]
        options = schema.Conv2DOptionsT()
        options.padding = schema.Padding.VALID
        options.strideW = options.strideH = 1
        options.dilationWFactor = options.dilationHFactor = 1
        options.fusedActivationFunction = operator.builtinOptions.fusedActivationFunction
        operator.inputs = [value, kernel, *bias]
        operator.opcodeIndex = self._code_index(OPERATORS.CONV_2D, CONV_VERSION)
        operator.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
        operator.builtinOptions = options

    def flatten_before(self, softmax: Any) -> None:
        """Write the logits as `(1, classes)`, behind what writes them as a pixel."""
        logits = int(softmax.inputs[0])
        writer = next(o for o in self.operators if logits in [int(index) for index in o.outputs])
        shape = [int(side) for side in self.tensors[logits].shape]
        pixel = schema.TensorT()
        pixel.name, pixel.type, pixel.buffer = b"logits", self.tensors[logits].type, 0
        pixel.shape, pixel.quantization = raised(shape), self.tensors[logits].quantization
        self.tensors.append(pixel)
        writer.outputs = [len(self.tensors) - 1]
        flatten = schema.OperatorT()
        flatten.opcodeIndex = self._code_index(OPERATORS.RESHAPE, 1)
        flatten.inputs, flatten.outputs = [*writer.outputs, self.constant(shape)], [logits]
        self.operators.insert(self.operators.index(softmax), flatten)

    def constant(self, numbers: Sequence[int]) -> int:
        """Return the index of a new tensor of 32-bit integers."""
        buffer, tensor = schema.BufferT(), schema.TensorT()
        buffer.data = np.frombuffer(np.array(numbers, np.int32).tobytes(), np.uint8)
        self.packed.buffers.append(buffer)
        tensor.name, tensor.type = b"", schema.TensorType.INT32
        tensor.shape, tensor.buffer = [len(numbers)], len(self.packed.buffers) - 1
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def numbers(self, index: int) -> list[int]:
        """Return the integers of a constant."""
        data = self.packed.buffers[self.tensors[index].buffer].data
        return np.frombuffer(bytes(data), np.int32).tolist()

    def _no_bias(self, value: int, kernel: int, width: int) -> int:
        index, quantization = self.constant([0] * width), schema.QuantizationParametersT()
        scales = (self.tensors[i].quantization.scale[0] for i in (value, kernel))
        quantization.scale = [float(np.prod(np.array([*scales], np.float32)))]
        quantization.zeroPoint = [0]
        self.tensors[index].quantization = quantization
        return index

    def _code_index(self, code: int, version: int) -> int:
        codes = self.packed.operatorCodes
        for index, known in enumerate(codes):
            if builtin_operator(known) == code:
                return index
        new = schema.OperatorCodeT()
        new.builtinCode = new.deprecatedBuiltinCode = code
        new.version = version
        codes.append(new)
        return len(codes) - 1


def builtin_operator(code: Any) -> int:
    """Return which of `OPERATORS` an `OperatorCodeT` is; old files have it in another field."""
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def raised(shape: Sequence[int]) -> list[int]:
    """Return a shape with leading ones.

    Example:
        >>> raised([1, 49, 16])
        [1, 1, 49, 16]
    """
    return [1] * (RANK - len(shape)) + [*shape]


def _reshape(graph: _Graph, operator: Any) -> None:
    shape = graph.tensors[int(operator.outputs[0])].shape
    operator.inputs = [operator.inputs[0], graph.constant([int(side) for side in shape])]
    operator.builtinOptions, operator.builtinOptionsType = None, schema.BuiltinOptions.NONE


def _transpose(graph: _Graph, operator: Any) -> None:
    value, order = (int(index) for index in operator.inputs)
    more = RANK - graph.ranks[value]
    axes = [*range(more), *(axis + more for axis in graph.numbers(order))]
    operator.inputs = [value, graph.constant(axes)]


def _mean(graph: _Graph, operator: Any) -> None:
    value, axes = (int(index) for index in operator.inputs)
    rank, tensor = graph.ranks[value], graph.tensors[int(operator.outputs[0])]
    moved = [axis % rank + RANK - rank for axis in graph.numbers(axes)]
    operator.inputs = [value, graph.constant(moved)]
    operator.builtinOptions.keepDims = True
    sides = enumerate(graph.tensors[value].shape)
    tensor.shape = [1 if axis in moved else int(side) for axis, side in sides]


_MOVES: dict[int, Callable[[_Graph, Any], None]] = {
    OPERATORS.RESHAPE: _reshape,
    OPERATORS.TRANSPOSE: _transpose,
    OPERATORS.MEAN: _mean,
}
