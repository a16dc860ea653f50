"""Reading the official archives of CIFAR-10 and CIFAR-100 (Krizhevsky, 2009)."""

import os
import pickle
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import IO, Any

import numpy as np

from ...errors import DataError, file_problem
from ...files.regular import check_regular
from ..progress import Progress

SHAPE = (3, 32, 32)  # of an image in the archives
PIXELS = 3 * 32 * 32

# Pixels uint8 (images, PIXELS), and labels uint8 (images,) by their name.
Images = tuple[np.ndarray, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Layout:
    """What an official archive holds.

    Attributes:
        stem: of the archive's name, such as `cifar-10`.
        batches: how many images are in each batch, by the batch's name, by the split.
        labels: the names of an image's labels, in the order of a binary record's bytes.
        readers: what reads a batch, by the SHA-256 of the archives.
    """

    stem: str
    batches: Mapping[str, Mapping[str, int]]
    labels: tuple[str, ...]
    readers: "Mapping[str, BatchReader]"


Members = Mapping[str, tarfile.TarInfo]
BatchReader = Callable[[tarfile.TarFile, Members, Layout, str, int], Images]


def read_archive(
    path: str | Path, layout: Layout, progress: Progress | None = None
) -> dict[str, Images]:
    """Return the images and labels of an official archive, by split.

    Args:
        path: of the archive, recognized by its SHA-256.
        layout: what it holds.
        progress: called with (done, total) batches.

    Raises:
        DataError: it cannot be read, or is none of the official archives, byte for byte.
    """
    read_batch = _batch_reader(Path(path), layout)
    total, done = sum(map(len, layout.batches.values())), 0
    splits: dict[str, Images] = {}
    with tarfile.open(path, "r:gz") as archive:
        members = {Path(member.name).name: member for member in archive if member.isfile()}
        for split, batches in layout.batches.items():
            read = []
            for name, images in batches.items():
                read.append(read_batch(archive, members, layout, name, images))
                done += 1
                if progress:
                    progress(done, total)
            splits[split] = _joined(read)
    return splits


def _joined(batches: list[Images]) -> Images:
    pixels = np.concatenate([pixels for pixels, _ in batches])
    names = batches[0][1]
    return pixels, {name: np.concatenate([labels[name] for _, labels in batches]) for name in names}


def _batch_reader(path: Path, layout: Layout) -> BatchReader:
    """Return the function that reads the batches of this archive."""
    try:
        check_regular(path)
        with open(path, "rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {file_problem(error)}") from None
    if digest not in layout.readers:
        raise DataError(
            f"{path}: received SHA-256 {digest[:12]}…, expected that of {layout.stem}-python.tar.gz"
            f" or {layout.stem}-binary.tar.gz: another file, or damaged; download it again"
        )
    return layout.readers[digest]


def _member_file(archive: tarfile.TarFile, members: Members, name: str) -> IO[bytes]:
    file = archive.extractfile(members[name]) if name in members else None
    if file is None:
        raise DataError(f"{os.fsdecode(archive.name or '')}: no {name} in it")
    return file


def read_binary_batch(
    archive: tarfile.TarFile, members: Members, layout: Layout, name: str, images: int
) -> Images:
    """Read a batch of records: a byte for each label, then the pixels, channel by channel."""
    content = _member_file(archive, members, f"{name}.bin").read()
    records = np.frombuffer(content, np.uint8)
    before = len(layout.labels)
    if records.size != images * (before + PIXELS):
        raise DataError(f"{os.fsdecode(archive.name or '')}: {name}.bin has {records.size:,} bytes")
    records = records.reshape(images, before + PIXELS)
    return records[:, before:], {key: records[:, i] for i, key in enumerate(layout.labels)}


def read_python_batch(
    archive: tarfile.TarFile, members: Members, layout: Layout, name: str, images: int
) -> Images:
    """Read a batch that Python 2 pickled: a dict with the pixels and a list for each label."""
    batch = _ArraysOnly(_member_file(archive, members, name), encoding="bytes").load()
    labels = {key: np.asarray(batch[key.encode()], np.uint8) for key in layout.labels}
    return batch[b"data"], labels


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
