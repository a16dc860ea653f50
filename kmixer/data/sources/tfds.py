"""Data sets of TensorFlow Datasets, by name."""

import json
import os
import socket
import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path
from threading import Thread
from urllib.parse import urlparse
from urllib.request import getproxies

import numpy as np

from ...backend import tame_tensorflow
from ...errors import DataError, nearest
from ...files import atomic
from ...files.checksums import checksums
from ..dataset import Dataset, Split, data_folder
from ..preparing import alone

PROBE_SECONDS = 5
SEAL = "kmixer-checksums.json"  # of the files of a data set, taken when it was prepared


def load(name, folder=None, image_size=None, resize_size=None):
    """Load an image-classification data set of TFDS; prepare it first if it is not there.

    Of several processes that want the same one at once, one prepares it and the others wait.

    Args:
        name: TFDS' name, such as `"cifar10"`.
        folder: where prepared data sets lie; by default TFDS_DATA_DIR, then
            `~/tensorflow_datasets`.
        image_size: side in pixels: the smaller one is resized to it, and the centre kept. None: as
            stored.
        resize_size: the same for images that may differ in size or are larger, where `image_size`
            is None.

    Raises:
        DataError: unknown, not an image-classification data set, damaged, or it is not prepared
            and cannot be downloaded.
    """
    folder = data_folder(folder)
    builder = _builder(name, folder)
    _check_kind(builder, name)
    builder = _prepared(builder, name, folder)
    class_names = tuple(builder.info.features["label"].names)
    side = image_size or _too_large(builder, resize_size)
    train, test = (_read(builder, split, side) for split in _split_names(builder, name))
    return Dataset(name, f"TFDS {builder.info.full_name} in {folder}", class_names, train, test)


def _builder(name, folder):
    os.environ.setdefault("TFDS_GCS_DISABLED", "1")
    try:
        tame_tensorflow()
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DataError(
            f"tfds:{name}: {error.name} is not installed; install it with: pip install"
            " tensorflow tensorflow-datasets, or give an image folder"
        ) from None

    if (
        name.partition("/")[0].partition(":")[0] not in tfds.list_builders()
        and not (folder / name).is_dir()
    ):
        known = nearest(name, tfds.list_builders())
        raise DataError(f"tfds:{name}: no such data set{known if len(known) < 200 else ''}")
    try:
        return tfds.builder(name, data_dir=folder, try_gcs=False)
    except Exception as error:
        raise DataError(f"tfds:{name}: cannot be opened in {folder}: {_line(error)}") from None


def _check_kind(builder, name):
    import tensorflow_datasets as tfds

    features = dict(builder.info.features or {})
    kinds = {"image": tfds.features.Image, "label": tfds.features.ClassLabel}
    if not all(isinstance(features.get(key), kind) for key, kind in kinds.items()):
        raise DataError(
            f"tfds:{name}: expected features 'image' and 'label', received {sorted(features)}"
        )


def _prepared(builder, name, folder):
    """Return the builder of the data set once it is prepared, here or by another process.

    TFDS writes under another name and renames, so that what was interrupted is not taken for whole;
    but of two that rename to one name, one fails.
    """
    if builder.is_prepared():
        _check_sealed(name, Path(builder.data_dir))
        return builder
    _check_network(builder, name, folder)
    with alone(builder.info.full_name, folder):
        builder = _builder(name, folder)  # it reads what another process has prepared meanwhile
        if not builder.is_prepared():
            _prepare(builder, name, folder)
    return builder


def _prepare(builder, name, folder):
    try:
        with redirect_stdout(sys.stderr):  # TFDS prints its progress to stdout
            builder.download_and_prepare()
    except Exception as error:
        raise DataError(f"tfds:{name}: preparing it in {folder} failed: {_line(error)}") from None
    prepared = Path(builder.data_dir)
    atomic.write_text(prepared / SEAL, json.dumps(checksums(prepared), indent=2))


def _check_sealed(name, folder):
    """Hold what kmixer has prepared against the checksums that it took then.

    Of what TensorFlow Datasets has prepared by itself only the records have checksums.
    """
    path = folder / SEAL
    if not path.is_file():
        return
    try:
        sealed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        sealed = {}
    found = checksums(folder)
    del found[SEAL]
    differing = [file for file in found | sealed if found.get(file) != sealed.get(file)]
    if differing:
        raise DataError(
            f"tfds:{name}: {folder / differing[0]} is not what was prepared; remove the folder"
            f" {folder}, and it is prepared again"
        )


def _check_network(builder, name, folder):
    """Fail at once instead of after TFDS' minutes of retries."""
    hosts = sorted({urlparse(str(url)).hostname for url in builder.url_infos or ()} - {None})
    if not hosts or getproxies() or _reachable_in_time(hosts[0]):
        return
    raise DataError(
        f"tfds:{name}: not prepared in {folder}, and {hosts[0]} cannot be reached;"
        " connect to the network, or name the folder that holds it with --data-dir"
    )


def _reachable_in_time(host):
    """Say whether a host answers within `PROBE_SECONDS`, name look-up included."""
    answers = []

    def probe():
        for port in (443, 80):
            with suppress(OSError):
                socket.create_connection((host, port), timeout=PROBE_SECONDS).close()
                answers.append(port)
                return

    thread = Thread(target=probe, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return bool(answers)


def _split_names(builder, name):
    splits = builder.info.splits
    for test in ("test", "validation"):
        if "train" in splits and test in splits:
            return "train", test
    raise DataError(f"tfds:{name}: expected splits 'train' and 'test', received {sorted(splits)}")


def _too_large(builder, resize_size):
    """Return `resize_size` if images may differ in size, or are larger; else None."""
    height, width, _ = builder.info.features["image"].shape
    if resize_size and (None in (height, width) or height == width > resize_size):
        return resize_size
    return None  # those of one oblong size are left to the model's ResizeCrop


def _read(builder, split, side):
    import tensorflow as tf

    def squared(example):
        image = example["image"]
        return _centre(image, side) if side else image, example["label"]

    try:
        dataset = builder.as_dataset(split=split).map(squared, num_parallel_calls=tf.data.AUTOTUNE)
        pairs = [(image, label) for image, label in dataset.as_numpy_iterator()]
    except tf.errors.OpError as error:
        raise DataError(
            f"tfds:{builder.name}: damaged in {builder.data_dir}: {_line(error)}; remove that"
            " folder, and it is prepared again"
        ) from None
    if len(pairs) != builder.info.splits[split].num_examples:
        raise DataError(
            f"tfds:{builder.name}: damaged in {builder.data_dir}: {len(pairs):,} images in {split},"
            f" expected {builder.info.splits[split].num_examples:,}"
        )
    if len({image.shape for image, _ in pairs}) > 1:
        raise DataError(
            f"tfds:{builder.name}: its images differ in size; give one with --image-size"
        )
    images, labels = zip(*pairs, strict=True)
    return Split(np.stack(images), np.asarray(labels, np.int32))


def _centre(image, side):
    """Resize the smaller side, then crop the centre, as `decode` does with an image file."""
    import tensorflow as tf

    shape = tf.cast(tf.shape(image)[:2], tf.float32)
    cover = tf.maximum(tf.cast(tf.round(side * shape / tf.reduce_min(shape)), tf.int32), side)
    image = tf.image.resize(image, cover, antialias=True)
    image = tf.image.resize_with_crop_or_pad(image, side, side)
    return tf.cast(tf.round(tf.clip_by_value(image, 0, 255)), tf.uint8)


def _line(error):
    return " ".join(str(error).split())[:300]
