"""CIFAR-10 and CIFAR-100 from their official archives, each stored as one NumPy file, or TFDS."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ...files import atomic
from ...files.npz import read_arrays
from ..dataset import Dataset, Split, check_image_size, data_folder
from ..preparing import preparation_lock
from ..progress import Progress
from . import tfds
from .cifar_archives import SHAPE, Layout, read_archive, read_binary_batch, read_python_batch
from .source import LoadOptions, Source

CIFAR10 = Layout(
    "cifar-10",
    {
        "train": {f"data_batch_{number}": 10_000 for number in range(1, 6)},
        "test": {"test_batch": 10_000},
    },
    ("labels",),
    {
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd": read_binary_batch,
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce": read_python_batch,
    },
)
CIFAR100 = Layout(
    "cifar-100",
    {"train": {"train": 50_000}, "test": {"test": 10_000}},
    ("coarse_labels", "fine_labels"),
    {
        "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec": read_binary_batch,
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7": read_python_batch,
    },
)


@dataclass(frozen=True)
class Cifar:
    """One of the data sets, by one of its labels.

    Attributes:
        name: of the data set.
        archive: the data set that its archive is imported as.
        layout: of that archive.
        label: which of an image's labels counts.
        classes: how many there are.
        tfds_label: the same label in TFDS.
    """

    name: str
    archive: str
    layout: Layout
    label: str
    classes: int
    tfds_label: str = "label"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the labels."""
        file = resources.files(__package__).joinpath("class_names", f"{self.name}.txt")
        return tuple(file.read_text(encoding="utf-8").split())

    def imported_file(self, folder: str | Path | None = None) -> Path:
        """Return the path of the file that `import_archive` writes, whether it exists or not."""
        return data_folder(folder) / f"kmixer-{self.archive}.npz"

    def import_archive(
        self, path: str | Path, folder: str | Path | None = None, progress: Progress | None = None
    ) -> Path:
        """Read an official archive and store its images and labels for `load`.

        Args:
            path: of the archive, as downloaded.
            folder: see `data_folder`.
            progress: called with (done, total) batches.

        Returns:
            The path of the file written.

        Raises:
            DataError: it cannot be read, or is none of the official archives, byte for byte.
        """
        arrays: dict[str, Any] = {}
        for split, (pixels, labels) in read_archive(path, self.layout, progress).items():
            arrays[f"{split}_images"] = pixels.reshape(-1, *SHAPE).transpose(0, 2, 3, 1)
            for name, values in labels.items():
                arrays[f"{split}_{name}"] = values.astype(np.int32)
        target = self.imported_file(folder)
        with preparation_lock(self.archive, target.parent):
            for leftover in target.parent.glob(f".{target.stem}.*.tmp{target.suffix}"):
                leftover.unlink()  # of an import that was killed: under the lock nobody else writes
            with atomic.replacing(target) as temporary:
                np.savez(temporary, **arrays)
        return target

    def load(self, folder: str | Path | None = None) -> Dataset:
        """Load what `import_archive` stored.

        Raises:
            DataError: the file is damaged.
        """
        path = self.imported_file(folder)
        try:
            arrays = read_arrays(path)
            train, test = (self._checked_split(split, arrays) for split in self.layout.batches)
        except KeyError as error:
            raise DataError(
                f"{path}: damaged: it has no {error}; import the archive again"
            ) from None
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: {error}; import the archive again") from None
        return Dataset(self.name, f"official archive, in {path}", self.class_names, train, test)

    def _checked_split(self, name: str, arrays: Mapping[str, np.ndarray]) -> Split:
        """Return a split, once all its images are known to be 32×32 and to have a class.

        Raises:
            ValueError: they are not.
        """
        images, labels = arrays[f"{name}_images"], arrays[f"{name}_{self.label}"]
        count = sum(self.layout.batches[name].values())
        if images.dtype != np.uint8 or images.shape != (count, 32, 32, 3):
            raise ValueError(f"damaged: its {name} images are {images.dtype} {images.shape}")
        right_kind = labels.shape == (count,) and labels.dtype.kind in "iu"
        if not right_kind or not np.isin(labels, range(self.classes)).all():
            raise ValueError(f"damaged: its {name} labels are not {count:,} classes")
        return Split(np.ascontiguousarray(images), labels)

    def source(self, description: str) -> Source:
        """Return what kmixer knows about it.

        Args:
            description: in one line, for `kmixer data list`.
        """
        return Source(
            self.name,
            description,
            self._load,
            import_archive=self.import_archive if self.name == self.archive else None,
            image_shape=(32, 32, 3),
            classes=self.classes,
            tfds_name=self.archive,
        )

    def _load(self, name: str, options: LoadOptions) -> Dataset:
        if self.imported_file(options.data_dir).is_file():
            return check_image_size(self.load(options.data_dir), options.image_size)
        return tfds.load(
            self.archive, options.data_dir, options.image_size, fit=options.fit,
            label=self.tfds_label,
        )  # fmt: skip


cifar10 = Cifar("cifar10", "cifar10", CIFAR10, "labels", 10)
cifar100 = Cifar("cifar100", "cifar100", CIFAR100, "fine_labels", 100)
cifar100_coarse = Cifar(
    "cifar100-coarse", "cifar100", CIFAR100, "coarse_labels", 20, "coarse_label"
)
SOURCES = (
    cifar10.source("50,000 + 10,000 color images of 32×32, imported or from TFDS"),
    cifar100.source("the same in 100 classes, imported or from TFDS"),
    cifar100_coarse.source("its images in their 20 superclasses, as cifar100"),
)
