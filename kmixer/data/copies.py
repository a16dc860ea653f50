"""Training images whose copy is in the validation or the test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import SettingsError
from .dataset import Dataset, SkippedFile, Split
from .digests import Digests, split_digests
from .duplicates import find_duplicates

if TYPE_CHECKING:
    from ..config import DataSettings

MOST_COMPARED = 20_000  # images that are compared each with each, which takes seconds

Names = Sequence[str]


@dataclass(frozen=True)
class Copy:
    """A training image that is in another split as well.

    Attributes:
        index: of the training image.
        split: the name of the other split.
        other: the index of its copy there.
        exact: whether all pixels are the same; else nearly.
    """

    index: int
    split: str
    other: int
    exact: bool


def held_out_splits(data: DataSettings) -> tuple[str, ...]:
    """Return the names of the splits that are to share no image with the training images."""
    return ("test",) if data.train_on_validation else ("validation", "test")


def find_copies(dataset: Dataset, digests: Digests, held_out: Names) -> list[Copy]:
    """Find the training images that are exactly or nearly in other splits.

    Near copies are looked for in data sets of up to 20,000 images.

    Args:
        dataset: the `Dataset`.
        digests: of its images.
        held_out: the names of the other splits.

    Returns:
        One `Copy` a training image at most, in the order of the training images.
    """
    splits = {name: split for name, split in dataset.splits.items() if name in held_out}
    places = [(name, index) for name, split in splits.items() for index in range(len(split))]
    if not places:
        return []
    others = np.concatenate([digests[name] for name in splits])
    found = _exact_copies(digests["train"], others)
    copies = {index: Copy(index, *places[other], True) for index, other in found.items()}
    if len(dataset.train) + len(places) <= MOST_COMPARED:
        images = np.concatenate([np.asarray(split.images) for split in splits.values()])
        near = _near_copies(np.asarray(dataset.train.images), images, digests["train"])
        for index, other in near.items():
            copies.setdefault(index, Copy(index, *places[other], False))
    return [copies[index] for index in sorted(copies)]


def _exact_copies(train: np.ndarray, others: np.ndarray) -> dict[int, int]:
    """Return the index of an equal digest in `others` for each training image that has one."""
    values, first = np.unique(others, return_index=True)
    shared = np.flatnonzero(np.isin(train, values))
    return dict(
        zip(shared.tolist(), first[np.searchsorted(values, train[shared])].tolist(), strict=True)
    )


def _near_copies(train: np.ndarray, others: np.ndarray, digests: np.ndarray) -> dict[int, int]:
    """Return the index in `others` of a near copy for each training image that has one."""
    pairs = find_duplicates(train, others).pairs
    crossing = pairs[(pairs[:, 0] < len(train)) & (pairs[:, 1] >= len(train))]
    other_of = dict(zip(digests[crossing[:, 0]], crossing[:, 1] - len(train), strict=True))
    found = np.flatnonzero(np.isin(digests, list(other_of)))  # one of equal images stands for all
    return {int(index): int(other_of[digests[index]]) for index in found}


def without_copies(dataset: Dataset, held_out: Names) -> Dataset:
    """Leave out the training images that are exactly or nearly in other splits.

    Args:
        dataset: the `Dataset`.
        held_out: the names of the other splits.

    Raises:
        SettingsError: no training image of a class is left.
    """
    copies = find_copies(dataset, split_digests(dataset), held_out)
    if not copies:
        return dataset
    kept = np.setdiff1d(np.arange(len(dataset.train)), [copy.index for copy in copies])
    train = dataset.train.take(kept)
    for label in np.setdiff1d(dataset.train.labels, train.labels):
        raise SettingsError(
            f"data.drop_duplicates: leaves no training image of {dataset.class_names[label]!r}:"
            f" all of them are in the {' or '.join(held_out)} set, too"
        )
    note = f"{len(copies)} training images left out: copies of {' or '.join(held_out)} images"
    skipped = [
        SkippedFile(file_name(dataset.train, "train", copy.index), describe_copy(dataset, copy))
        for copy in copies
    ]
    return replace(
        dataset,
        train=train,
        notes=(*dataset.notes, note),
        skipped=(*dataset.skipped, *skipped),
    )


def describe_copy(dataset: Dataset, copy: Copy) -> str:
    """Return what an image is a copy of, such as `exact copy of test/a/1.png (test)`."""
    kind = "exact copy" if copy.exact else "nearly the same"
    other = file_name(dataset.splits[copy.split], copy.split, copy.other)
    return f"{kind}: {other} ({copy.split})"


def file_name(split: Split, split_name: str, index: int) -> str:
    """Return an image's file, or where there is none its split and index, such as `test 12`."""
    return f"{split_name} {index}" if split.files is None else str(split.files[index])
