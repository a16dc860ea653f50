"""What every data source returns: images, labels, class names, splits."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..config.image_size import ImageSize
from ..errors import SettingsError, nearest
from .stored_images import Images, blocks, join, take
from .stratified import Draw, absent_note, stratified

if TYPE_CHECKING:
    from .decode import Decoding

DEFAULT_DIR = "~/tensorflow_datasets"


def data_folder(folder: str | Path | None = None) -> Path:
    """Return where prepared data sets lie: `folder`, TFDS_DATA_DIR or `~/tensorflow_datasets`.

    Raises:
        SettingsError: it begins with the home folder, and there is none.
    """
    named = os.fspath(folder or os.environ.get("TFDS_DATA_DIR") or DEFAULT_DIR)
    path = os.path.expanduser(named)
    if path.startswith("~"):
        raise SettingsError(
            f"{named}: there is no home folder here; set TFDS_DATA_DIR, or use --data-dir"
        )
    return Path(path)


@dataclass(frozen=True)
class Split:
    """Images and their labels.

    Attributes:
        images: uint8 `(n, height, width, channels)`; 1 channel is gray, 3 are RGB. An array, or
            `StoredImages`, which look like one and stay in a file.
        labels: int32 `(n,)`, an index into the data set's class names.
        files: of each image, str `(n,)`, relative to the data set's folder; None: there are none.
    """

    images: Images
    labels: np.ndarray
    files: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> Split:
        """Return a split of the images at `indices`."""
        files = None if self.files is None else self.files[indices]
        return Split(take(self.images, indices), self.labels[indices], files)

    def with_channels(self, channels: int) -> Split:
        """Return it with gray images repeated in 3 channels, or RGB ones weighted into 1."""
        if channels == 3:
            return replace(self, images=np.repeat(np.asarray(self.images), 3, axis=3))
        return replace(self, images=as_gray(np.asarray(self.images)))

    @classmethod
    def joined(cls, splits: Sequence[Split]) -> Split:
        """Return one split of the images of several."""
        files = [split.files for split in splits if split.files is not None]
        return cls(
            join([split.images for split in splits]),
            np.concatenate([split.labels for split in splits]),
            np.concatenate(files) if len(files) == len(splits) else None,
        )

    def relabeled(self, new_labels: np.ndarray) -> Split:
        """Return a split with `new_labels[old]` for each label, without images whose new one is -1.

        Args:
            new_labels: int32 `(classes,)`.
        """
        kept = self.take(np.flatnonzero(new_labels[self.labels] >= 0))
        return replace(kept, labels=new_labels[kept.labels])


@dataclass(frozen=True)
class SkippedFile:
    """A file or folder that was not read.

    Attributes:
        path: relative to the data set's folder.
        reason: for people, such as "HEIC: install kmixer[heic]".
    """

    path: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """A named data set.

    `validation` is None until `with_validation` cuts it from `train`, unless the data set came
    with a validation set.

    Attributes:
        name: as in the settings; of an image folder, the folder's name.
        source: where it comes from, for people.
        class_names: in the order of the labels.
        train: the training split.
        test: the test split.
        validation: the validation split.
        notes: what was skipped or decided while it was read, for people.
        skipped: each `SkippedFile`.
        layout: by split, which folder it was read from, or what it was drawn from; for people.
        decoding: how image files were decoded; None: there were none.
    """

    name: str
    source: str
    class_names: tuple[str, ...]
    train: Split
    test: Split
    validation: Split | None = None
    notes: tuple[str, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()
    layout: Mapping[str, str] = field(default_factory=dict)
    decoding: Decoding | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels

    @property
    def splits(self) -> dict[str, Split]:
        """The splits by name."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in splits.items() if split is not None}

    def describe(self) -> dict[str, Any]:
        """Return name, source, shape, size and counts per split and class, JSON-able."""
        return {
            "name": self.name,
            "source": self.source,
            "image_shape": list(self.image_shape),
            "megabytes": sum(split.images.nbytes for split in self.splits.values()) / 1e6,
            "counts": {
                name: dict(zip(self.class_names, self._class_counts(split), strict=True))
                for name, split in self.splits.items()
            },
            "notes": list(self.notes),
            "layout": dict(self.layout),
            "skipped": [asdict(file) for file in self.skipped],
        }

    def _class_counts(self, split: Split) -> list[int]:
        return np.bincount(split.labels, minlength=len(self.class_names)).tolist()

    def fingerprint(self) -> str:
        """Return a SHA-256, as hex, over class names, labels and pixels of all splits."""
        digest = sha256("\n".join(self.class_names).encode())
        for split in self.splits.values():
            digest.update(np.ascontiguousarray(split.labels).data)
            for block in blocks(split.images):
                digest.update(np.ascontiguousarray(block).data)
        return digest.hexdigest()

    def with_channels(self, channels: int) -> Dataset:
        """Return it with gray images as RGB (3), or RGB images as gray (1), and a note if so."""
        before = self.image_shape[2]
        if before == channels:
            return self
        kinds = {1: "gray", 3: "RGB"}
        return replace(
            self,
            train=self.train.with_channels(channels),
            test=self.test.with_channels(channels),
            validation=self.validation and self.validation.with_channels(channels),
            notes=(*self.notes, f"{kinds[before]} images are taken as {kinds[channels]}"),
        )

    def with_classes(self, names: Sequence[str]) -> Dataset:
        """Keep only the images of these classes, labeled in this order.

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
        new_labels = np.full(len(self.class_names), -1, np.int32)
        new_labels[[self.class_names.index(name) for name in names]] = range(len(names))
        return replace(
            self,
            class_names=tuple(names),
            train=self.train.relabeled(new_labels),
            test=self.test.relabeled(new_labels),
            validation=self.validation and self.validation.relabeled(new_labels),
        )

    def with_train_per_class(self, count: int, seed: int = 0) -> Dataset:
        """Keep `count` training images of each class, drawn at random with the seed.

        Raises:
            SettingsError: a class has fewer.
        """
        order = np.random.default_rng(seed).permutation(len(self.train))
        labels = self.train.labels[order]
        chosen = [order[labels == label][:count] for label in range(len(self.class_names))]
        fewest, name = min(zip(map(len, chosen), self.class_names, strict=True))
        if fewest < count:
            raise SettingsError(
                f"data.train_per_class: received {count}, expected at most the {fewest} training"
                f" images of {name!r}"
            )
        return replace(self, train=self.train.take(np.sort(np.concatenate(chosen))))

    def with_validation(self, size: float | None = None, seed: int = 0) -> Dataset:
        """Cut a stratified validation split from the training images, unless there is one.

        A validation set that the data set came with stays as it is, whatever the size. A class
        with one image keeps it for training.

        Args:
            size: a number of images (int), a share of the training images (float), or None for
                a twelfth, which is 5,000 of 60,000.
            seed: of the random choice of images.

        Raises:
            SettingsError: the split cannot hold every class.
        """
        if self.validation is not None:
            return self._with_given_validation(self.validation, size)
        setting = "data.validation_size"
        draw = _validation_draw(size, len(self.train))
        rest, held_out = stratified(
            self.train.labels, draw, seed, self.class_names, setting, SettingsError
        )
        train, validation = self.train.take(rest), self.train.take(held_out)
        notes = [
            *absent_note("training", train.labels, self.class_names),
            *absent_note("validation", validation.labels, self.class_names),
        ]
        return replace(self, train=train, validation=validation, notes=(*self.notes, *notes))

    def _with_given_validation(self, validation: Split, size: float | None) -> Dataset:
        """Say that a size is not used, where it is not the number of images that there are."""
        if size is None or size == len(validation):
            return self
        note = (
            f"data.validation_size ({size}) is not used: the data set comes with"
            f" {len(validation):,} validation images"
        )
        return replace(self, notes=(*self.notes, note))

    def with_fold(self, fold: int, folds: int, seed: int = 0) -> Dataset:
        """Cut the images that are not test images into parts, one of which is for validation.

        The parts have about the same size and classes, and no image in common (k-fold
        cross-validation). Validation images that the data set came with are cut up with the rest.

        Args:
            fold: which part is the validation split, from 0.
            folds: how many there are.
            seed: of the random choice of images.

        Raises:
            SettingsError: a class has fewer images than there are parts.
        """
        from sklearn.model_selection import StratifiedKFold

        self.check_folds(folds)
        images = self.with_validation_in_train().train
        parts = StratifiedKFold(folds, shuffle=True, random_state=seed)
        rest, held_out = list(parts.split(images.labels, images.labels))[fold]
        note = f"fold {fold + 1} of {folds} is the validation split"
        return replace(
            self,
            train=images.take(rest),
            validation=images.take(held_out),
            notes=(*self.notes, note),
        )

    def check_folds(self, folds: int) -> None:
        """Refuse more parts than a class has images that are not test images.

        Raises:
            SettingsError: there are more.
        """
        splits = [split for split in (self.train, self.validation) if split is not None]
        counts = np.sum([self._class_counts(split) for split in splits], axis=0)
        fewest, name = min(zip(counts.tolist(), self.class_names, strict=True))
        if fewest < folds:
            raise SettingsError(
                f"data.folds: received {folds}, expected at most the {fewest} images of {name!r}"
            )

    def with_validation_in_train(self) -> Dataset:
        """Add the validation images to the training images, too; the validation split stays."""
        splits = [split for split in (self.train, self.validation) if split is not None]
        return replace(self, train=Split.joined(splits))


def _validation_draw(size: float | None, total: int) -> Draw:
    if size is None:
        return Draw(round(total / 12), raised=True)
    return Draw(size) if isinstance(size, int) else Draw(round(size * total), raised=True)


def as_gray(images: np.ndarray) -> np.ndarray:
    """Return RGB images as gray ones, as Pillow does it: uint8 `(n, height, width, 1)`."""
    weights = np.array([19595, 38470, 7471], np.uint32)  # ITU-R 601-2, of 65,536
    parts = np.array_split(images, max(len(images) // 100, 1))
    gray = [((part @ weights + 0x8000) >> 16).astype(np.uint8) for part in parts]
    return np.concatenate(gray)[..., np.newaxis]


def check_image_size(dataset: Dataset, image_size: ImageSize | None) -> Dataset:
    """Return a data set whose images are not resized on loading, if that is their size.

    Raises:
        SettingsError: another size is wanted.
    """
    side = dataset.image_shape[0]
    if image_size not in (None, side, (side, side)):
        raise SettingsError(
            f"data.image_size: received {image_size}, expected {side}: the images of"
            f" {dataset.name} are {side}×{side}; the setting"
            f" data.resize_size={_longer(image_size)} lets the model resize them"
        )
    return dataset


def _longer(size: ImageSize | None) -> int | None:
    return max(size) if isinstance(size, tuple) else size
