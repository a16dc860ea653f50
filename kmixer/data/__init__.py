"""A name or a folder → images, labels, class names, splits."""

from pathlib import Path

from ..errors import SettingsError, nearest
from .dataset import Dataset, Split
from .sources import cifar10, fashion_mnist, image_folder, tfds

__all__ = ["SHORT_NAMES", "Dataset", "Split", "check_name", "load", "load_splits"]

SHORT_NAMES = {
    "fmnist": "Fashion-MNIST, 60,000 + 10,000 grey images of 28×28, shipped with kmixer",
    "mnist": "TFDS mnist, 60,000 + 10,000 grey images of 28×28",
    "cifar10": "50,000 + 10,000 colour images of 32×32, imported or from TFDS",
    "cifar100": "TFDS cifar100, 50,000 + 10,000 colour images of 32×32",
}


def load(name, folder=None, image_size=None, progress=None, resize_size=None):
    """Load a data set.

    Args:
        name: one of `SHORT_NAMES`, `tfds:NAME`, or the path of an image folder.
        folder: where TFDS and `kmixer data import` keep prepared data sets.
        image_size: side in pixels; None: as stored.
        progress: called with (done, total) while an image folder is decoded.
        resize_size: what the model resizes images to: where `image_size` is None, larger ones of
            an image folder or of TFDS are brought to it, and those of TFDS that differ in size.

    Returns:
        A `Dataset` with uint8 images; `validation` is not cut yet.

    Raises:
        SettingsError: there is no data set of this name, or not in this size.
        DataError: it is damaged or cannot be had.
    """
    check_name(name)
    if name == "fmnist":
        return _check_size(fashion_mnist.load(), image_size)
    if name == "cifar10" and cifar10.kept(folder).is_file():
        return _check_size(cifar10.load(folder), image_size)
    if name in SHORT_NAMES:  # small ones, which stay as they are
        return tfds.load(name, folder, image_size)
    if name.startswith("tfds:"):
        return tfds.load(name.removeprefix("tfds:"), folder, image_size, resize_size)
    return image_folder.load(name, image_size, progress, resize_size)


def check_name(name):
    """Refuse a name that stands for no data set, before anything slow happens.

    Raises:
        SettingsError: it is no short name, no `tfds:NAME` and no folder, or is None.
        DataError: the folder has no class folders with images.
    """
    if name is None:
        raise SettingsError("data.name: received null, expected a data set or an image folder")
    if name in SHORT_NAMES or name.startswith("tfds:"):
        return
    if _is_folder(name):
        image_folder.check(Path(name))
        return
    known = nearest(name, SHORT_NAMES)
    raise SettingsError(f"data set {name!r}: no such name and no such folder{known}")


def _is_folder(name):
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):  # too long, or with a NUL in it
        return False


def load_splits(data):
    """Load the data set that `DataSettings` name, of it what they keep, and cut validation off."""
    dataset = load(data.name, data.dir, data.image_size, resize_size=data.resize_size)
    if data.classes:
        dataset = dataset.with_classes(data.classes)
    dataset = dataset.with_validation(data.validation_size, data.split_seed)
    if data.train_per_class:
        dataset = dataset.with_train_per_class(data.train_per_class, data.split_seed)
    return dataset.with_validation_in_train() if data.train_on_validation else dataset


def _check_size(dataset, image_size):
    side = dataset.image_shape[0]
    if image_size not in (None, side):
        raise SettingsError(
            f"data.image_size: received {image_size}, expected {side}: the images of"
            f" {dataset.name} are {side}×{side}; the setting"
            f" data.resize_size={image_size} lets the model resize them"
        )
    return dataset
