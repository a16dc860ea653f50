"""TensorFlow Lite's metadata: the input, the output, and the class names in the file.

Written by hand after `metadata_schema.fbs` of TensorFlow Lite Support (identifier M001), because no
library that writes it can be installed beside TensorFlow today. Numbers are the positions of fields
in the schema's tables; their names are in the comment after each table.
"""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
from tensorflow.lite.python import schema_py_generated as schema

from ...runs.run import Run

LEAST_RUNTIME = b"min_runtime_version"  # the converter's own entry, by the operators' versions
BUFFER, IDENTIFIER, PARSER_VERSION = b"TFLITE_METADATA", b"M001", "1.0.0"
LABELS = "labels.txt"
AXIS_LABELS = 2  # AssociatedFileType.TENSOR_AXIS_LABELS
IMAGE_PROPERTIES, NORMALIZATION_OPTIONS = 2, 1  # members of their unions
COLOR_SPACES = {3: 1, 1: 2}  # channels → RGB, GRAYSCALE


def describe(model: Any, run: Run) -> None:
    """Put the metadata into a model.

    Args:
        model: the `ModelT` of an unpacked file.
        run: the run that it comes from.
    """
    buffer = schema.BufferT()
    buffer.data = _metadata(run)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = BUFFER, len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]


def least_runtime(model: Any) -> str | None:
    """Return the oldest TensorFlow Lite that has a model's operators, as the converter noted it.

    Args:
        model: the `ModelT` of an unpacked file.
    """
    for entry in model.metadata or ():
        if entry.name == LEAST_RUNTIME:
            version = bytes(model.buffers[entry.buffer].data).rstrip(b"\0").decode()
            return f"TensorFlow Lite {version}" if version else None
    return None


def append_labels(path: Path, labels: str) -> None:
    """Append the text of labels.txt as a zip archive, which any zip reader finds at the end."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(LABELS), labels)


def _metadata(run: Run) -> bytes:
    """Return the bytes of a ModelMetadata."""
    builder = flatbuffers.Builder(1024)
    graph = _table(
        builder,
        8,
        {
            2: _vector(builder, [_input_metadata(builder, run)]),
            3: _vector(builder, [_output_metadata(builder)]),
        },
    )  # SubGraphMetadata: input_tensor_metadata, output_tensor_metadata
    root = _table(builder, 8, {
        0: builder.CreateString(f"kmixer {run.name}"),
        1: builder.CreateString(f"Image classifier of {len(run.class_names)} classes"),
        3: _vector(builder, [graph]),
        7: builder.CreateString(PARSER_VERSION),
    })  # ModelMetadata: name, description, subgraph_metadata, min_parser_version  # fmt: skip
    builder.Finish(root, IDENTIFIER)
    return builder.Output()


def _input_metadata(builder: flatbuffers.Builder, run: Run) -> int:
    channels = run.info["input_shape"][2]
    properties = _table(builder, 2, {}, {0: COLOR_SPACES[channels]})
    content = _table(builder, 3, {1: properties}, {0: IMAGE_PROPERTIES})
    unscaled = _table(builder, 2, {0: _floats(builder, [0.0]), 1: _floats(builder, [1.0])})
    unit = _table(builder, 2, {1: unscaled}, {0: NORMALIZATION_OPTIONS})
    return _table(builder, 7, {
        0: builder.CreateString("images"),
        1: builder.CreateString("uint8 pixels, 0 to 255; normalised inside"),
        3: content,
        4: _vector(builder, [unit]),
        5: _table(builder, 2, {0: _floats(builder, [255.0]), 1: _floats(builder, [0.0])}),
    })  # TensorMetadata: name, description, content, process_units, stats (max, min)  # fmt: skip


def _output_metadata(builder: flatbuffers.Builder) -> int:
    labels = _table(builder, 5, {
        0: builder.CreateString(LABELS),
        1: builder.CreateString("Class names, in the order of the probabilities"),
    }, {2: AXIS_LABELS})  # AssociatedFile: name, description, type  # fmt: skip
    return _table(builder, 7, {
        0: builder.CreateString("probabilities"),
        1: builder.CreateString("Probability of each class"),
        5: _table(builder, 2, {0: _floats(builder, [1.0]), 1: _floats(builder, [0.0])}),
        6: _vector(builder, [labels]),
    })  # TensorMetadata: name, description, stats, associated_files  # fmt: skip


def _table(
    builder: flatbuffers.Builder,
    fields: int,
    offsets: Mapping[int, int],
    bytes_: Mapping[int, int] | None = None,
) -> int:
    """Write a table of `fields` fields; `offsets` and `bytes_` hold values by field number."""
    builder.StartObject(fields)
    for field, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(field, offset, 0)
    for field, value in (bytes_ or {}).items():
        builder.PrependInt8Slot(field, value, 0)
    return builder.EndObject()


def _vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _floats(builder: flatbuffers.Builder, values: Sequence[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return builder.EndVector()
