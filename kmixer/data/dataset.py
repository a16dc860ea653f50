"""What every data source is turned into: images, labels, class names, splits."""

import os
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from ..errors import DataError, SettingsError, nearest

DEFAULT_DIR = "~/tensorflow_datasets"


def data_folder(folder=None):
    """Return where prepared data sets lie: `folder`, TFDS_DATA_DIR or `~/tensorflow_datasets`."""
    return Path(folder or os.environ.get("TFDS_DATA_DIR") or DEFAULT_DIR).expanduser()


@dataclass(frozen=True)
class Split:
    """Images and their labels.

    Attributes:
        images: uint8 `(n, height, width, channels)`; 1 channel is grey, 3 are RGB.
        labels: int32 `(n,)`, an index into the data set's class names.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self):
        return len(self.labels)

    def take(self, indices):
        """Return the split that holds only the images at `indices`."""
        return Split(self.images[indices], self.labels[indices])

    def relabelled(self, labels):
        """Return the split with `labels[old]` for each old label, without those that become -1."""
        new = labels[self.labels]
        return Split(self.images[new >= 0], new[new >= 0])


@dataclass(frozen=True)
class Dataset:
    """A named data set; `validation` is None until `with_validation` cuts it from `train`."""

    name: str
    source: str
    class_names: tuple[str, ...]
    train: Split
    test: Split
    validation: Split | None = None
    notes: tuple[str, ...] = ()

    @property
    def image_shape(self):
        """(height, width, channels)."""
        return self.train.images.shape[1:]

    @property
    def splits(self):
        """The splits by name."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in named.items() if split is not None}

    def describe(self):
        """Return name, source, shape, size and counts per split and class, JSON-able."""
        return {
            "name": self.name,
            "source": self.source,
            "image_shape": list(self.image_shape),
            "megabytes": sum(split.images.nbytes for split in self.splits.values()) / 1e6,
            "counts": {
                name: dict(zip(self.class_names, self._counts(split), strict=True))
                for name, split in self.splits.items()
            },
            "notes": list(self.notes),
        }

    def _counts(self, split):
        return np.bincount(split.labels, minlength=len(self.class_names)).tolist()

    def fingerprint(self):
        """Return a SHA-256, as hex, over class names, labels and pixels of all splits."""
        digest = sha256("\n".join(self.class_names).encode())
        for split in self.splits.values():
            digest.update(np.ascontiguousarray(split.labels))
            digest.update(np.ascontiguousarray(split.images))
        return digest.hexdigest()

    def with_classes(self, names):
        """Keep only the images of these classes, labelled in this order.

        Raises:
            SettingsError: there is no such class, one is named twice, or there are fewer than two.
        """
        for name in names:
            if name not in self.class_names:
                raise SettingsError(
                    f"data.classes: received {name!r}{nearest(name, self.class_names)}"
                )
        if len(set(names)) < max(len(names), 2):
            raise SettingsError(f"data.classes: received {names}, expected two or more, each once")
        new = np.full(len(self.class_names), -1, np.int32)
        new[[self.class_names.index(name) for name in names]] = range(len(names))
        kept = {name: split.relabelled(new) for name, split in self.splits.items()}
        return replace(self, class_names=tuple(names), **kept)

    def with_train_per_class(self, count, seed=0):
        """Keep so many training images of each class, drawn by the seed.

        Raises:
            SettingsError: a class has fewer.
        """
        order = np.random.default_rng(seed).permutation(len(self.train))
        labels = self.train.labels[order]
        drawn = [order[labels == label][:count] for label in range(len(self.class_names))]
        least = min(zip(map(len, drawn), self.class_names, strict=True))
        if least[0] < count:
            raise SettingsError(
                f"data.train_per_class: received {count}, expected at most the {least[0]} training"
                f" images of {least[1]!r}"
            )
        return replace(self, train=self.train.take(np.sort(np.concatenate(drawn))))

    def with_validation(self, size=None, seed=0):
        """Cut a stratified validation split from the training images.

        Args:
            size: a number of images (int), a share of the training images (float), or None for
                a twelfth, which is 5,000 of 60,000.
            seed: draws which images; the same seed draws the same ones.
        """
        count = _validation_count(size, len(self.train), len(self.class_names))
        rest, held_out = stratified(
            self.train.labels, count, seed, "data.validation_size", SettingsError
        )
        return replace(self, train=self.train.take(rest), validation=self.train.take(held_out))

    def with_validation_in_train(self):
        """Add the validation images to the training images; they stay where they were, too."""
        joined = Split(
            np.concatenate([self.train.images, self.validation.images]),
            np.concatenate([self.train.labels, self.validation.labels]),
        )
        return replace(self, train=joined)


def _validation_count(size, total, classes):
    if size is None:
        return max(round(total / 12), classes)
    return size if isinstance(size, int) else max(round(size * total), classes)


def stratified(labels, count, seed, setting, error=DataError):
    """Draw `count` indices with the classes in proportion; return (the rest, the drawn), sorted.

    Raises:
        error: a class is too small, or `count` too large; `setting` names what asked for it.
    """
    from sklearn.model_selection import train_test_split

    try:
        rest, drawn = train_test_split(
            np.arange(len(labels)), test_size=count, stratify=labels, random_state=seed
        )
    except ValueError as reason:
        raise error(
            f"{setting}: cannot draw {count} of {len(labels)} images with every class in"
            f" proportion: {reason}"
        ) from None
    return np.sort(rest), np.sort(drawn)
