"""CIFAR-10 from its official archives (Krizhevsky, 2009), stored as one NumPy file."""

import os
import pickle
import tarfile
from collections.abc import Callable, Mapping
from hashlib import file_digest
from pathlib import Path
from typing import IO, Any

import numpy as np

from ...errors import DataError, file_problem
from ...files import atomic
from ...files.npz import read_arrays
from ...files.regular import check_regular
from ..dataset import Dataset, Split, check_image_size, data_folder
from ..preparing import preparation_lock
from ..progress import Progress
from . import tfds
from .source import LoadOptions, Source

CLASS_NAMES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
PIXELS = 3 * 32 * 32
IMAGES_PER_BATCH = 10_000
BATCHES = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}

Batch = tuple[np.ndarray, np.ndarray]  # pixels uint8 (images, PIXELS), labels uint8 (images,)
BatchReader = Callable[[tarfile.TarFile, Mapping[str, tarfile.TarInfo], str], Batch]


def imported_file(folder: str | Path | None = None) -> Path:
    """Return the path of the file that `import_archive` writes, whether it exists or not."""
    return data_folder(folder) / "kmixer-cifar10.npz"


def import_archive(
    path: str | Path, folder: str | Path | None = None, progress: Progress | None = None
) -> Path:
    """Read an official archive of CIFAR-10 and store its images for `load`.

    Args:
        path: `cifar-10-python.tar.gz` or `cifar-10-binary.tar.gz`, recognized by their SHA-256.
        folder: see `data_folder`.
        progress: called with (done, total) batches.

    Returns:
        The path of the file written.

    Raises:
        DataError: it cannot be read, or is neither of the two archives, byte for byte.
    """
    batches = _read_batches(path, _batch_reader(Path(path)), progress)
    arrays: dict[str, Any] = {}
    for split, names in BATCHES.items():
        images = np.concatenate([batches[name][0] for name in names])
        labels = np.concatenate([batches[name][1] for name in names])
        arrays[f"{split}_images"] = images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        arrays[f"{split}_labels"] = labels.astype(np.int32)
    target = imported_file(folder)
    with preparation_lock("cifar10", target.parent):
        for leftover in target.parent.glob(f".{target.stem}.*.tmp{target.suffix}"):
            leftover.unlink()  # of an import that was killed: under the lock nobody else writes
        with atomic.replacing(target) as temporary:
            np.savez(temporary, **arrays)
    return target


def load(folder: str | Path | None = None) -> Dataset:
    """Load what `import_archive` stored.

    Raises:
        DataError: the file is damaged.
    """
    path = imported_file(folder)
    try:
        arrays = read_arrays(path)
        train, test = (_checked_split(split, arrays) for split in BATCHES)
    except KeyError as error:
        raise DataError(f"{path}: damaged: it has no {error}; import the archive again") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {error}; import the archive again") from None
    return Dataset("cifar10", f"official archive, in {path}", CLASS_NAMES, train, test)


def _checked_split(name: str, arrays: Mapping[str, np.ndarray]) -> Split:
    """Return a split, once all its images are known to be 32×32 and to have a class.

    Raises:
        ValueError: they are not.
    """
    images, labels = arrays[f"{name}_images"], arrays[f"{name}_labels"]
    count = IMAGES_PER_BATCH * len(BATCHES[name])
    if images.dtype != np.uint8 or images.shape != (count, 32, 32, 3):
        raise ValueError(f"damaged: its {name} images are {images.dtype} {images.shape}")
    right_kind = labels.shape == (count,) and labels.dtype.kind in "iu"
    if not right_kind or not np.isin(labels, range(len(CLASS_NAMES))).all():
        raise ValueError(f"damaged: its {name} labels are not {count:,} classes")
    return Split(np.ascontiguousarray(images), labels)


def _batch_reader(path: Path) -> BatchReader:
    """Return the function that reads the batches of this archive."""
    try:
        check_regular(path)
        with open(path, "rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {file_problem(error)}") from None
    if digest not in ARCHIVES:
        raise DataError(
            f"{path}: received SHA-256 {digest[:12]}…, expected that of cifar-10-python.tar.gz or"
            " cifar-10-binary.tar.gz: another file, or damaged; download it again"
        )
    return ARCHIVES[digest]


def _read_batches(
    path: str | Path, read_batch: BatchReader, progress: Progress | None
) -> dict[str, Batch]:
    names = [name for split in BATCHES.values() for name in split]
    batches = {}
    with tarfile.open(path, "r:gz") as archive:
        members = {Path(member.name).name: member for member in archive if member.isfile()}
        for done, name in enumerate(names, 1):
            batches[name] = read_batch(archive, members, name)
            if progress:
                progress(done, len(names))
    return batches


def _member_file(
    archive: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], name: str
) -> IO[bytes]:
    file = archive.extractfile(members[name]) if name in members else None
    if file is None:
        raise DataError(f"{os.fsdecode(archive.name or '')}: no {name} in it")
    return file


def _read_binary_batch(
    archive: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], name: str
) -> Batch:
    """Read a batch of records: one byte of label, then the pixels, channel by channel."""
    content = _member_file(archive, members, f"{name}.bin").read()
    records = np.frombuffer(content, np.uint8)
    if records.size != IMAGES_PER_BATCH * (1 + PIXELS):
        raise DataError(f"{os.fsdecode(archive.name or '')}: {name}.bin has {records.size:,} bytes")
    records = records.reshape(IMAGES_PER_BATCH, 1 + PIXELS)
    return records[:, 1:], records[:, 0]


def _read_python_batch(
    archive: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], name: str
) -> Batch:
    """Read a batch that Python 2 pickled: a dict with the pixels and a list of labels."""
    batch = _ArraysOnly(_member_file(archive, members, name), encoding="bytes").load()
    return batch[b"data"], np.asarray(batch[b"labels"], np.uint8)


class _ArraysOnly(pickle.Unpickler):
    """Unpickles NumPy arrays and plain values, and refuses every other class or function.

    The archives are known by their checksum; this keeps it true that no pickle can run code, should
    the checksums ever be extended.
    """

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "numpy" and name in _ARRAY_MAKERS:
            return _ARRAY_MAKERS[name]
        raise DataError(f"pickled batch: holds {module}.{name}, expected arrays only")


def _empty_array(array_type: type, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Do what a pickle's `_reconstruct` does: make an array whose content is set afterwards."""
    return np.ndarray.__new__(np.ndarray, shape, dtype)


def _dtype(name: Any, align: int = 0, copy: int = 0) -> np.dtype:
    """Make a dtype of a pickle of 2009, whose flags are numbers: NumPy wants booleans now."""
    return np.dtype(name, align=bool(align), copy=bool(copy))


_ARRAY_MAKERS = {"_reconstruct": _empty_array, "ndarray": np.ndarray, "dtype": _dtype}

# SHA-256 of the two official archives → what reads their batches.
ARCHIVES: dict[str, BatchReader] = {
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd": _read_binary_batch,
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce": _read_python_batch,
}


def _load(name: str, options: LoadOptions) -> Dataset:
    if imported_file(options.data_dir).is_file():
        return check_image_size(load(options.data_dir), options.image_size)
    return tfds.load(name, options.data_dir, options.image_size, fit=options.fit)


SOURCE = Source(
    "cifar10",
    "50,000 + 10,000 color images of 32×32, imported or from TFDS",
    _load,
    import_archive=import_archive,
    image_shape=(32, 32, 3),
    classes=len(CLASS_NAMES),
)
