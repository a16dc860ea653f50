"""Which feature classes a prepared data set of TensorFlow Datasets may name.

Its features.json names Python classes, and TFDS imports the module of each that it does not know.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ...errors import DataError, one_line
from ...files.bounded import read_bounded

FILE = "features.json"
DEEPEST = 4  # folders between that of a name and its features.json: configuration and version
MOST_BYTES = 5_000_000
MODULES = "tensorflow_datasets.core.features."
CLASSES = tuple(
    MODULES + name
    for name in (
        "features_dict.FeaturesDict", "image_feature.Image", "class_label_feature.ClassLabel",
        "labeled_image.LabeledImage", "text_feature.Text", "tensor_feature.Tensor",
        "feature.Tensor", "scalar.Scalar", "bounding_boxes.BBoxFeature",
        "sequence_feature.Sequence",
    )
)  # fmt: skip
CLASS_KEYS = ("type", "pythonClassName", "python_class_name")  # of its formats, old and new


def check_feature_classes(name: str, folder: Path) -> None:
    """Refuse a prepared data set whose features are of other classes than images and labels need.

    Args:
        name: of the data set, with which its folder begins.
        folder: where prepared data sets lie.

    Raises:
        DataError: see above, or a features.json cannot be read.
    """
    for path in _feature_files(folder / name):
        try:
            found = list(_class_names(json.loads(read_bounded(path, MOST_BYTES))))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"tfds:{name}: {path} cannot be read: {one_line(error)}") from None
        for foreign in (item for item in found if item not in CLASSES):
            raise DataError(
                f"tfds:{name}: {path} names the class {str(foreign)[:80]!r}, expected only"
                " features of TensorFlow Datasets that an image-classification data set has"
            )


def _feature_files(folder: Path) -> Iterator[Path]:
    """Yield the files that TFDS may read, also through links to folders."""
    for depth in range(DEEPEST + 1):
        yield from folder.glob("*/" * depth + FILE)


def _class_names(value: Any) -> Iterable[Any]:
    """Yield whatever stands where features.json names a class, in a text within it, too."""
    if isinstance(value, list):
        for item in value:
            yield from _class_names(item)
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if key in CLASS_KEYS and not isinstance(item, dict):
            yield item
        elif key == "content" and isinstance(item, str):  # of its oldest format: JSON again
            yield from _class_names(json.loads(item))
        else:
            yield from _class_names(item)
