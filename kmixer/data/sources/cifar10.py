"""CIFAR-10 from its official archives (Krizhevsky, 2009), kept as one NumPy file."""

import pickle
import tarfile
from hashlib import file_digest
from pathlib import Path

import numpy as np

from ...errors import DataError
from ...files import atomic
from ...files.npz import read_arrays
from ..dataset import Dataset, Split, data_folder
from ..preparing import alone

CLASS_NAMES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
PIXELS = 3 * 32 * 32
IN_BATCH = 10_000
BATCHES = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}


def kept(folder=None):
    """Return the path of the file that `import_archive` writes, whether it is there or not."""
    return data_folder(folder) / "kmixer-cifar10.npz"


def import_archive(path, folder=None, progress=None):
    """Read an official archive of CIFAR-10 and keep its images for `load`.

    Args:
        path: `cifar-10-python.tar.gz` or `cifar-10-binary.tar.gz`, told apart by their SHA-256.
        folder: see `data_folder`.
        progress: called with (done, total) batches.

    Returns:
        The path of the file written.

    Raises:
        DataError: it cannot be read, or is neither of the two to the byte.
    """
    read, batches = _reader(Path(path)), {}
    names = [name for split in BATCHES.values() for name in split]
    with tarfile.open(path, "r:gz") as archive:
        members = {Path(member.name).name: member for member in archive if member.isfile()}
        for done, name in enumerate(names, 1):
            batches[name] = read(archive, members, name)
            if progress:
                progress(done, len(names))
    arrays = {}
    for split, names in BATCHES.items():
        images, labels = (np.concatenate(p) for p in zip(*map(batches.get, names), strict=True))
        arrays[f"{split}_images"] = images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        arrays[f"{split}_labels"] = labels.astype(np.int32)
    target = kept(folder)
    with alone("cifar10", target.parent):
        for left in target.parent.glob(f".{target.stem}.*.tmp{target.suffix}"):
            left.unlink()  # by an import that was killed: nobody else writes now
        with atomic.replacing(target) as temporary:
            np.savez(temporary, **arrays)
    return target


def load(folder=None):
    """Load what `import_archive` kept.

    Raises:
        DataError: the file is damaged.
    """
    path = kept(folder)
    try:
        arrays = read_arrays(path)
        splits = [_whole(split, arrays) for split in BATCHES]
    except KeyError as error:
        raise DataError(f"{path}: damaged: it has no {error}; import the archive again") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {error}; import the archive again") from None
    return Dataset("cifar10", f"official archive, in {path}", CLASS_NAMES, *splits)


def _whole(name, arrays):
    """Return a split if it is whole: all images of 32×32, a class for each."""
    images, labels = arrays[f"{name}_images"], arrays[f"{name}_labels"]
    count = IN_BATCH * len(BATCHES[name])
    if images.dtype != np.uint8 or images.shape != (count, 32, 32, 3):
        raise ValueError(f"damaged: its {name} images are {images.dtype} {images.shape}")
    known = labels.shape == (count,) and labels.dtype.kind in "iu"
    if not known or not np.isin(labels, range(len(CLASS_NAMES))).all():
        raise ValueError(f"damaged: its {name} labels are not {count:,} classes")
    return Split(np.ascontiguousarray(images), labels)


def _reader(path):
    try:
        with open(path, "rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    if digest not in ARCHIVES:
        raise DataError(
            f"{path}: received SHA-256 {digest[:12]}…, expected that of cifar-10-python.tar.gz or"
            " cifar-10-binary.tar.gz: another file, or damaged; download it again"
        )
    return ARCHIVES[digest]


def _content(archive, members, name):
    if name not in members:
        raise DataError(f"{archive.name}: no {name} in it")
    return archive.extractfile(members[name])


def _from_binary(archive, members, name):
    """Read a batch of records: one byte of label, then the pixels, channel by channel."""
    records = np.frombuffer(_content(archive, members, f"{name}.bin").read(), np.uint8)
    if records.size != IN_BATCH * (1 + PIXELS):
        raise DataError(f"{archive.name}: {name}.bin has {records.size:,} bytes")
    records = records.reshape(IN_BATCH, 1 + PIXELS)
    return records[:, 1:], records[:, 0]


def _from_python(archive, members, name):
    """Read a pickled batch of Python 2: a dict with the pixels and a list of labels."""
    batch = _ArraysOnly(_content(archive, members, name), encoding="bytes").load()
    return batch[b"data"], np.asarray(batch[b"labels"], np.uint8)


class _ArraysOnly(pickle.Unpickler):
    """Refuses whatever is not needed to make a NumPy array."""

    def find_class(self, module, name):
        if module.partition(".")[0] == "numpy" and name in _NEEDED:
            return _NEEDED[name]
        raise DataError(f"pickled batch: holds {module}.{name}, expected arrays only")


def _dtype(name, align=0, copy=0):
    """Make a dtype of a pickle of 2009, whose flags are numbers: NumPy wants booleans now."""
    return np.dtype(name, align=bool(align), copy=bool(copy))


_NEEDED = {
    "_reconstruct": np._core.multiarray._reconstruct, "ndarray": np.ndarray, "dtype": _dtype,
}  # fmt: skip


ARCHIVES = {
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd": _from_binary,
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce": _from_python,
}
