"""What is wrong with a data set's images, told by name: copies, no contrast, two classes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..files.text import csv_text, read_csv
from .copies import Names, describe_copy, file_name, find_copies, held_out_splits
from .dataset import Dataset
from .digests import Digests
from .stored_images import Images, blocks

if TYPE_CHECKING:
    from ..config import DataSettings

LEAST_CONTRAST = 4  # of 256 levels between the darkest and the brightest pixel of a channel
MOST_CLASSES = 5  # that are told one by one
COARSE = 16  # pixels a side that are looked at first

COLUMNS = ("file", "class", "problem", "detail")


@dataclass(frozen=True)
class Problem:
    """What is wrong with one image or file.

    Attributes:
        file: relative to the data set's folder, or `train 12` where the images are no files.
        class_name: its class; empty for a file that was not read.
        problem: in a word or two, such as `no contrast`.
        detail: what else there is to say.
    """

    file: str
    class_name: str
    problem: str
    detail: str = ""


@dataclass(frozen=True)
class Findings:
    """What is wrong with a data set's images.

    Attributes:
        problems: each `Problem`.
        notes: the same in a few lines with counts, for people.
    """

    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    def as_csv(self) -> str:
        """Return a line for each problem, as CSV."""
        rows = [
            (found.file, found.class_name, found.problem, found.detail) for found in self.problems
        ]
        return csv_text(COLUMNS, (dict(zip(COLUMNS, row, strict=True)) for row in rows))


def find_problems(dataset: Dataset, digests: Digests, data: DataSettings) -> Findings:
    """Look for what is wrong with the images of a folder; other data sets are taken as they are.

    Args:
        dataset: the `Dataset`.
        digests: of its images.
        data: its settings.
    """
    held_out = held_out_splits(data)
    skipped = [Problem(file.path, "", "not read", file.reason) for file in dataset.skipped]
    if dataset.train.files is None:
        return Findings(tuple(skipped))
    images = _Images(dataset, ("train", *held_out))
    flat, copies = _without_contrast(images), _copies(images, digests, held_out)
    twice = _in_two_classes(images, digests)
    notes = [*_contrast_notes(images, flat), *_copy_notes(copies, held_out)]
    if twice:
        notes.append(f"{len(twice)} images stand in more than one class, pixel by pixel the same")
    return Findings((*skipped, *flat, *copies, *twice), tuple(notes))


def contrast_notes(dataset: Dataset) -> list[str]:
    """Return a line for each class of a folder with images that are all one color."""
    if dataset.train.files is None:
        return []
    images = _Images(dataset, tuple(dataset.splits))
    return _contrast_notes(images, _without_contrast(images))


class _Images:
    """The images of several splits, counted through."""

    def __init__(self, dataset: Dataset, names: Names) -> None:
        self.dataset = dataset
        self.splits = {name: split for name, split in dataset.splits.items() if name in names}
        self.labels = np.concatenate([split.labels for split in self.splits.values()])
        self.places = [
            (n, index) for n, split in self.splits.items() for index in range(len(split))
        ]

    def file(self, position: int) -> str:
        name, index = self.places[position]
        return file_name(self.splits[name], name, index)

    def class_name(self, position: int) -> str:
        return self.dataset.class_names[self.labels[position]]

    def problem(self, position: int, problem: str, detail: str) -> Problem:
        return Problem(self.file(position), self.class_name(position), problem, detail)


def _without_contrast(images: _Images) -> list[Problem]:
    flat = np.concatenate([_is_flat(split.images) for split in images.splits.values()])
    return [
        images.problem(position, "no contrast", "all one color")
        for position in np.flatnonzero(flat).tolist()
    ]


def _is_flat(images: Images) -> np.ndarray:
    """Return for which images each channel holds nearly one level, bool `(n,)`."""
    parts = [_is_flat_block(block) for block in blocks(images)]
    return np.concatenate([np.zeros(0, bool), *parts])


def _is_flat_block(images: np.ndarray) -> np.ndarray:
    rows, columns = (max(side // COARSE, 1) for side in images.shape[1:3])
    flat = _contrast(images[:, ::rows, ::columns]) < LEAST_CONTRAST
    if flat.any():  # the few that a coarse look leaves
        flat[flat] = _contrast(images[flat]) < LEAST_CONTRAST
    return flat


def _contrast(images: np.ndarray) -> np.ndarray:
    """Return the levels between darkest and brightest pixel, in the channel with most, `(n,)`."""
    count, *_, channels = images.shape
    rows = [images[..., channel].reshape(count, -1) for channel in range(channels)]
    return np.max([row.max(axis=1) - row.min(axis=1) for row in rows], axis=0)


def _contrast_notes(images: _Images, flat: list[Problem]) -> list[str]:
    counts = Counter(problem.class_name for problem in flat)
    names = images.dataset.class_names
    totals = dict(zip(names, np.bincount(images.labels, minlength=len(names)), strict=True))
    notes = [
        f"{count:,} of {totals[name]:,} images of {name!r} have no contrast (all one color)"
        for name, count in counts.most_common(MOST_CLASSES)
    ]
    rest = counts.total() - sum(count for _, count in counts.most_common(MOST_CLASSES))
    if rest:
        notes.append(f"{rest:,} more of {len(counts) - MOST_CLASSES} other classes have none")
    return notes


def _copies(images: _Images, digests: Digests, held_out: Names) -> list[Problem]:
    """Return the training images that are in other splits; training images are counted first."""
    return [
        images.problem(
            copy.index,
            "exact copy" if copy.exact else "near copy",
            describe_copy(images.dataset, copy),
        )
        for copy in find_copies(images.dataset, digests, held_out)
    ]


def _copy_notes(copies: list[Problem], held_out: Names) -> list[str]:
    if not copies:
        return []
    exact = sum(copy.problem == "exact copy" for copy in copies)
    return [
        f"{len(copies)} training images are in the {' or '.join(held_out)} set as well ({exact}"
        f" exactly, {len(copies) - exact} nearly); data.drop_duplicates=true leaves them out of"
        " the training"
    ]


def _in_two_classes(images: _Images, digests: Digests) -> list[Problem]:
    """Return the images that stand in another class as well."""
    values = np.concatenate([digests[name] for name in images.splits])
    labels_of: dict[int, dict[int, int]] = {}  # digest → label → its first image
    _, first = np.unique(np.stack([values, images.labels.astype(np.uint64)]), axis=1,
                         return_index=True)  # fmt: skip
    for position in first.tolist():
        labels_of.setdefault(int(values[position]), {})[int(images.labels[position])] = position
    twice = [digest for digest, labels in labels_of.items() if len(labels) > 1]
    found = []
    for position in np.flatnonzero(np.isin(values, np.array(twice, np.uint64))).tolist():
        labels = labels_of[int(values[position])]
        other = next(p for label, p in labels.items() if label != images.labels[position])
        detail = f"the same image as {images.file(other)} ({images.class_name(other)})"
        found.append(images.problem(position, "in two classes", detail))
    return found


def read_problems(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV that `Findings.as_csv` gave; none where there is no such file."""
    if not path.is_file():
        return []
    return [{column: row.get(column) or "" for column in COLUMNS} for row in read_csv(path)]
