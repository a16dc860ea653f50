"""A folder of images: `train/CLASS/*.png` + `test/CLASS/*.png`, or one flat `CLASS/*.png` tree."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

from ...errors import DataError, file_problem
from ..dataset import Dataset, Split, stratified
from ..decode import ImageFacts, decode, describe, is_image
from .source import LoadOptions, Progress, Source

TEST_SHARE = 0.15  # of a flat tree; drawn with seed 0, so that every run sees the same test set
TEST_NAMES = ("test", "val", "valid", "validation")
MAX_SIDE = 224


@dataclass
class _Listing:
    """The readable images of one tree, and notes on what was skipped."""

    paths: list[Path] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    gray: bool = True
    notes: list[str] = field(default_factory=list)


def load(
    folder: str | Path,
    image_size: int | None = None,
    progress: Progress | None = None,
    resize_size: int | None = None,
) -> Dataset:
    """Load an image folder into memory; nothing in it is ever written to.

    Args:
        folder: holds `train/` and `test/`, or one folder per class.
        image_size: side in pixels. None: the size that all images share, or, where they differ,
            the median shorter side rounded to a multiple of 4, at most 224.
        progress: called with (done, total) while images are decoded.
        resize_size: side that the model resizes images to: larger ones are shrunk to it, and where
            they differ in size it takes the place of the 224.

    Raises:
        DataError: no classes, one class only, a class without images, an unreadable folder.
    """
    folder = Path(folder)
    trees = _trees(folder)
    class_names = _class_names(trees)
    listings = [_list_images(tree, class_names) for tree in trees]
    sizes = [size for listing in listings for size in listing.sizes]
    side = image_size or _common_side(sizes, resize_size)
    gray = all(listing.gray for listing in listings)
    splits = [_decode_all(listing, side, gray, progress) for listing in listings]
    notes = [note for listing in listings for note in listing.notes]
    if len(splits) == 1:
        splits = list(_flat_split(splits[0], folder))
        notes.append(
            f"no test/ folder: {len(splits[1])} images drawn as test set (stratified, seed 0)"
        )
    elif trees[1].name != "test":
        notes.append(f"no test/ folder: {trees[1].name}/ is the test set")
    train, test = splits
    return Dataset(folder.resolve().name, str(folder), class_names, train, test, notes=tuple(notes))


def check(folder: str | Path) -> None:
    """Refuse a folder that lacks a readable image in a class; stops at the first one of each.

    Raises:
        DataError: see `load`.
    """
    trees = _trees(Path(folder))
    for tree in trees:
        for name in _class_names(trees):
            walk = os.walk(tree / name)
            images = (Path(at) / file for at, _, files in walk for file in files if is_image(file))
            if not any(map(_try_describe, images)):
                raise _no_images(tree / name)


def _no_images(folder: Path) -> DataError:
    return DataError(f"{folder}: no readable images in this class folder")


def _flat_split(split: Split, folder: Path) -> tuple[Split, Split]:
    """Draw a test set from the images of a flat tree; return (training, test)."""
    count = max(round(TEST_SHARE * len(split)), int(split.labels.max()) + 1)
    rest, drawn = stratified(split.labels, count, 0, f"{folder}: the test set")
    return split.take(rest), split.take(drawn)


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {file_problem(error)}") from None


def _trees(folder: Path) -> list[Path]:
    """Return the training and the test tree, or the only tree if the folder is flat."""
    subfolders = {path.name: path for path in _subfolders(folder)}
    held_out = [subfolders[name] for name in TEST_NAMES if name in subfolders]
    if "train" in subfolders and held_out:
        return [subfolders["train"], held_out[0]]
    return [subfolders["train"] if set(subfolders) == {"train"} else folder]


def _class_names(trees: list[Path]) -> tuple[str, ...]:
    names = tuple(path.name for path in _subfolders(trees[0]))
    if len(names) < 2:
        present = f"one class only, {names[0]!r}" if names else "no class folders"
        raise DataError(f"{trees[0]}: {present}; expected at least two folders, one per class")
    for tree in trees[1:]:
        others = {path.name for path in _subfolders(tree)}
        if others != set(names):
            raise DataError(
                f"{tree}: its class folders differ from {trees[0]}:"
                f" {sorted(others ^ set(names))} stand in one of them only"
            )
    return names


def _list_images(tree: Path, class_names: tuple[str, ...]) -> _Listing:
    listing, skipped = _Listing(), Counter[str]()
    with ThreadPoolExecutor() as pool:
        for label, name in enumerate(class_names):
            files = _image_paths(tree / name, skipped)
            for path, facts in zip(files, pool.map(_try_describe, files), strict=True):
                _add(listing, path, label, facts, skipped)
            if label not in listing.labels[-1:]:
                raise _no_images(tree / name)
    listing.notes += [f"{tree}: {count} {reason}" for reason, count in sorted(skipped.items())]
    return listing


def _image_paths(folder: Path, skipped: Counter[str]) -> list[Path]:
    """Return the files below a folder that are named like images; count the others."""

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot be read: {file_problem(error)}") from None

    walk = os.walk(folder, onerror=refuse)
    files = sorted(Path(root) / name for root, _, names in walk for name in names)
    images = [path for path in files if is_image(path)]
    if len(images) < len(files):
        skipped["files skipped (no image suffix)"] += len(files) - len(images)
    return images


def _try_describe(path: Path) -> ImageFacts | None:
    try:
        return describe(path)
    except DataError:
        return None


def _add(
    listing: _Listing, path: Path, label: int, facts: ImageFacts | None, skipped: Counter[str]
) -> None:
    if facts is None:
        skipped["images skipped (unreadable or damaged)"] += 1
        return
    if facts.frames > 1:
        skipped["animated images, first frame used"] += 1
    listing.paths.append(path)
    listing.labels.append(label)
    listing.sizes.append(facts.size)
    listing.gray &= facts.gray


def _common_side(sizes: list[tuple[int, int]], resize_size: int | None) -> int:
    sides = {width for width, _ in sizes} | {height for _, height in sizes}
    if len(sides) == 1:
        (side,) = sides
        return min(side, resize_size or side)
    shorter = median(min(size) for size in sizes)
    return int(min(max(round(shorter / 4) * 4, 4), resize_size or MAX_SIDE))


def _decode_all(listing: _Listing, side: int, gray: bool, progress: Progress | None) -> Split:
    """Decode the images of a listing, some in parallel, into one array."""
    total = len(listing.paths)
    images = np.empty((total, side, side, 1 if gray else 3), np.uint8)
    good = np.ones(total, bool)

    def decode_into(index: int) -> None:
        try:
            images[index] = decode(listing.paths[index], (side, side), gray)
        except DataError:
            good[index] = False

    with ThreadPoolExecutor() as pool:
        for done, _ in enumerate(pool.map(decode_into, range(total)), 1):
            if progress:
                progress(done, total)
    labels = np.asarray(listing.labels, np.int32)
    if good.all():  # the usual case: no second copy of all pixels
        return Split(images, labels)
    _note_undecodable(listing, labels, good)
    return Split(images[good], labels[good])


def _note_undecodable(listing: _Listing, labels: np.ndarray, good: np.ndarray) -> None:
    """Note how many images could not be decoded; refuse a class that has no other."""
    listing.notes.append(f"{(~good).sum()} images skipped (truncated, damaged, or with NaN pixels)")
    for label in np.setdiff1d(labels, labels[good]):
        first = listing.paths[int(np.flatnonzero(labels == label)[0])]
        raise _no_images(first.parent)


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):  # too long, or with a NUL in it
        return False


def _load(name: str, options: LoadOptions) -> Dataset:
    return load(name, options.image_size, options.progress, options.resize_size)


SOURCE = Source(
    "FOLDER",
    "train/CLASS/*.png and test/CLASS/*.png, or CLASS/*.png",
    _load,
    recognizes=_is_folder,
    check=check,
    is_path=True,
)
