"""Data sets of TensorFlow Datasets, by name."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...backend import prepare_tensorflow
from ...config.image_size import ImageSize
from ...errors import DataError, nearest, one_line
from ...files import atomic
from ...files.checksums import checksums
from ..dataset import Dataset, Split, data_folder
from ..decode import Fit
from ..network import is_reachable, url_hosts
from ..preparing import preparation_lock
from .source import LoadOptions, Source
from .tfds_features import check_feature_classes

if TYPE_CHECKING:
    from tensorflow_datasets.core import DatasetBuilder

PREFIX = "tfds:"
NAME = (
    r"([a-z][a-z0-9_]*)(/[\w.+-]+)?(:[0-9][\w.*]*)?"  # as TFDS writes them, within its own folder
)
CHECKSUMS = "kmixer-checksums.json"  # of a data set's files, written when it was prepared
LONGEST_REASON = 300  # characters of TFDS' own messages


def load(
    name: str,
    folder: str | Path | None = None,
    image_size: ImageSize | None = None,
    resize_size: int | None = None,
    fit: Fit = "crop",
    label: str = "label",
) -> Dataset:
    """Load an image-classification data set of TFDS; prepare it first if need be.

    Where several processes load an unprepared one at once, one prepares it and the others wait.

    Args:
        name: TFDS' name, such as `"cifar10"`.
        folder: where prepared data sets lie; by default TFDS_DATA_DIR, then
            `~/tensorflow_datasets`.
        image_size: side in pixels, or (height, width), that images are resized to. None: as
            stored.
        resize_size: the same for images that differ in size or are larger, where `image_size` is
            None.
        fit: what becomes of an image of another aspect ratio when it is resized.
        label: which of TFDS' features is the class.

    Raises:
        DataError: unknown, not an image-classification data set, damaged, or it is not prepared
            and cannot be downloaded.
    """
    data_dir = data_folder(folder)
    builder = _builder(name, data_dir)
    _check_features(builder, name, label)
    builder = _prepared(builder, name, data_dir)
    class_names = tuple(builder.info.features[label].names)
    size = image_size or _shrunk_side(builder, resize_size)
    train, test = (_read(builder, split, size, fit, label) for split in _split_names(builder, name))
    return Dataset(name, f"TFDS {builder.info.full_name} in {data_dir}", class_names, train, test)


def open_builder(name: str, folder: str | Path | None = None) -> DatasetBuilder:
    """Open what TFDS knows about a data set, prepared or not.

    Args:
        name: TFDS' name.
        folder: see `load`.

    Raises:
        DataError: TFDS is not installed, or does not know it.
    """
    return _builder(name, data_folder(folder))


def _builder(name: str, folder: Path) -> DatasetBuilder:
    os.environ.setdefault("TFDS_GCS_DISABLED", "1")
    try:
        prepare_tensorflow()
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DataError(
            f"tfds:{name}: {error.name} is not installed; install it with: pip install"
            " tensorflow tensorflow-datasets, or give an image folder"
        ) from None

    if not (parts := re.fullmatch(NAME, name)):
        raise DataError(
            f"tfds:{name}: expected a name, and perhaps a configuration and a version, such as"
            " cifar10 or cmaterdb/bangla:1.0.0"
        )
    base_name = parts[1]
    if base_name not in tfds.list_builders() and not (folder / name).is_dir():
        suggestion = nearest(name, tfds.list_builders())
        if len(suggestion) >= 200:  # no name looks like it: all of them are listed
            suggestion = ""
        raise DataError(f"tfds:{name}: no such data set{suggestion}")
    check_feature_classes(base_name, folder)
    try:
        return tfds.builder(name, data_dir=folder, try_gcs=False)
    except Exception as error:
        reason = one_line(error, LONGEST_REASON)
        raise DataError(f"tfds:{name}: cannot be opened in {folder}: {reason}") from None


def _check_features(builder: DatasetBuilder, name: str, label: str) -> None:
    import tensorflow_datasets as tfds

    features = dict(builder.info.features or {})
    expected = {"image": tfds.features.Image, label: tfds.features.ClassLabel}
    if not all(isinstance(features.get(key), kind) for key, kind in expected.items()):
        raise DataError(
            f"tfds:{name}: expected features 'image' and {label!r}, received {sorted(features)}"
        )


def _prepared(builder: DatasetBuilder, name: str, folder: Path) -> DatasetBuilder:
    """Return the builder of the data set once it is prepared, by this or by another process.

    TFDS writes under a temporary name and renames at the end, so an interrupted preparation is
    never taken for a whole one; but of two processes that rename to the same name, one fails.
    """
    if builder.is_prepared():
        _check_checksums(name, Path(builder.data_dir))
        return builder
    _check_network(builder, name, folder)
    with preparation_lock(builder.info.full_name, folder):
        builder = _builder(name, folder)  # sees what another process has prepared meanwhile
        if not builder.is_prepared():
            _prepare(builder, name, folder)
    return builder


def _prepare(builder: DatasetBuilder, name: str, folder: Path) -> None:
    try:
        with redirect_stdout(sys.stderr):  # TFDS prints its progress to stdout
            builder.download_and_prepare()
    except Exception as error:
        reason = one_line(error, LONGEST_REASON)
        raise DataError(f"tfds:{name}: preparing it in {folder} failed: {reason}") from None
    prepared = Path(builder.data_dir)
    atomic.write_text(prepared / CHECKSUMS, json.dumps(checksums(prepared), indent=2))


def _check_checksums(name: str, folder: Path) -> None:
    """Compare the files that kmixer prepared with the checksums that it stored then.

    A data set that TensorFlow Datasets prepared by itself has none; its records have their own.
    """
    path = folder / CHECKSUMS
    if not path.is_file():
        return
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        stored = {}
    present = checksums(folder)
    del present[CHECKSUMS]
    differing = [file for file in present | stored if present.get(file) != stored.get(file)]
    if differing:
        raise DataError(
            f"tfds:{name}: {folder / differing[0]} is not what was prepared; remove the folder"
            f" {folder}, and it is prepared again"
        )


def _check_network(builder: DatasetBuilder, name: str, folder: Path) -> None:
    """Fail at once instead of after TFDS' minutes of retries."""
    hosts = url_hosts(builder.url_infos or ())
    if hosts and not is_reachable(hosts[0]):
        raise DataError(
            f"tfds:{name}: not prepared in {folder}, and {hosts[0]} cannot be reached;"
            " connect to the network, or name the folder that holds it with --data-dir"
        )


def _split_names(builder: DatasetBuilder, name: str) -> tuple[str, str]:
    """Return the names of the training and the test split."""
    splits = builder.info.splits
    for test in ("test", "validation"):
        if "train" in splits and test in splits:
            return "train", test
    raise DataError(f"tfds:{name}: expected splits 'train' and 'test', received {sorted(splits)}")


def _shrunk_side(builder: DatasetBuilder, resize_size: int | None) -> int | None:
    """Return `resize_size` if images differ in size or are larger squares; else None."""
    height, width, _ = builder.info.features["image"].shape
    if resize_size and (None in (height, width) or height == width > resize_size):
        return resize_size
    return None  # oblong images of one size are left to the model's ResizeCrop


def _read(
    builder: DatasetBuilder, split: str, size: ImageSize | None, fit: Fit, label: str
) -> Split:
    """Read a split into memory; with a size, every image gets it."""
    import tensorflow as tf

    def image_and_label(example: dict[str, Any]) -> tuple[Any, Any]:
        image = example["image"]
        return _resize(image, size, fit) if size else image, example[label]

    try:
        examples = builder.as_dataset(split=split)
        stream = examples.map(image_and_label, num_parallel_calls=tf.data.AUTOTUNE)
        pairs = list(stream.as_numpy_iterator())
    except tf.errors.OpError as error:
        reason = one_line(error, LONGEST_REASON)
        raise DataError(
            f"tfds:{builder.name}: damaged in {builder.data_dir}: {reason}; remove that"
            " folder, and it is prepared again"
        ) from None
    expected = builder.info.splits[split].num_examples
    if len(pairs) != expected:
        raise DataError(
            f"tfds:{builder.name}: damaged in {builder.data_dir}: {len(pairs):,} images in {split},"
            f" expected {expected:,}"
        )
    if len({image.shape for image, _ in pairs}) > 1:
        raise DataError(
            f"tfds:{builder.name}: its images differ in size; give one with --image-size"
        )
    images, labels = zip(*pairs, strict=True)
    return Split(np.stack(images), np.asarray(labels, np.int32))


def _resize(image: Any, size: ImageSize, fit: Fit) -> Any:
    """Resize and crop, pad or stretch to a size, as `decode` does with an image file.

    Args:
        image: uint8 tensor `(height, width, channels)`; the size may be known only when it runs.
        size: a side in pixels, or (height, width).
        fit: what becomes of an image of another aspect ratio.
    """
    import tensorflow as tf

    height, width = size if isinstance(size, tuple) else (size, size)
    shape = tf.cast(tf.shape(image)[:2], tf.float32)
    scales = tf.constant([height, width], tf.float32) / shape
    if fit != "stretch":
        scales = tf.reduce_max(scales) if fit == "crop" else tf.reduce_min(scales)
    resized = tf.maximum(tf.cast(tf.round(scales * shape), tf.int32), 1)
    image = tf.image.resize(image, resized, antialias=True)
    image = tf.round(tf.clip_by_value(image, 0, 255))
    color = _border_color(image) if fit == "pad" else 0.0
    image = tf.image.resize_with_crop_or_pad(image - color, height, width) + color
    return tf.cast(image, tf.uint8)


def _border_color(image: Any) -> Any:
    """Return the median color of an image's border, `(channels,)`: with it images are padded."""
    import tensorflow as tf

    border = [image[0], image[-1], image[1:-1, 0], image[1:-1, -1]]
    levels = tf.sort(tf.concat(border, axis=0), axis=0)
    count = tf.shape(levels)[0]
    return tf.floor((levels[(count - 1) // 2] + levels[count // 2]) / 2)


def _load_fixed(name: str, options: LoadOptions) -> Dataset:
    """Load one of the small data sets, whose images keep their size unless `image_size` is set."""
    return load(name, options.data_dir, options.image_size, fit=options.fit)


def _load_any(name: str, options: LoadOptions) -> Dataset:
    tfds_name = name.removeprefix(PREFIX)
    return load(tfds_name, options.data_dir, options.image_size, options.resize_size, options.fit)


MNIST = Source(
    "mnist",
    "TFDS mnist, 60,000 + 10,000 gray images of 28×28",
    _load_fixed,
    image_shape=(28, 28, 1),
    classes=10,
)
ANY = Source(
    f"{PREFIX}NAME",
    "any image-classification data set of TensorFlow Datasets",
    _load_any,
    recognizes=lambda name: name.startswith(PREFIX),
)
