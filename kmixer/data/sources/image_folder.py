"""A folder of images: `train/CLASS/*.png` + `test/CLASS/*.png`, or one flat `CLASS/*.png` tree."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from ...errors import DataError
from ..dataset import Dataset, Split, stratified
from ..decode import decode, describe, is_image

TEST_SHARE = 0.15  # of a flat tree; drawn with seed 0, so that every run sees the same test set
TEST_NAMES = ("test", "val", "valid", "validation")
MAX_SIZE = 224


@dataclass
class _Listing:
    """The readable images of one tree, and what was skipped."""

    paths: list
    labels: list
    sizes: list
    grey: bool
    notes: list


def load(folder, image_size=None, progress=None, resize_size=None):
    """Load an image folder into memory; nothing in it is ever written to.

    Args:
        folder: holds `train/` and `test/`, or one folder per class.
        image_size: side in pixels. None: the size that all images share, or, where they differ,
            the median shorter side rounded to a multiple of 4, at most 224.
        progress: called with (done, total) while images are decoded.
        resize_size: what the model resizes images to: more than that is not kept of them; where
            they differ in size it takes the place of the 224.

    Raises:
        DataError: no classes, one class only, a class without images, an unreadable folder.
    """
    folder = Path(folder)
    roots = _roots(folder)
    class_names = _class_names(roots)
    listings = [_list(root, class_names) for root in roots]
    sizes = [size for listing in listings for size in listing.sizes]
    size = image_size or _common_size(sizes, resize_size)
    grey = all(listing.grey for listing in listings)
    splits = [_decode(listing, size, grey, progress) for listing in listings]
    notes = [note for listing in listings for note in listing.notes]
    if len(roots) == 2 and roots[1].name != "test":
        notes.append(f"no test/ folder: {roots[1].name}/ is the test set")
    if len(splits) == 1:
        rest, drawn = _flat_split(splits[0], folder)
        splits = [splits[0].take(rest), splits[0].take(drawn)]
        notes.append(f"no test/ folder: {len(drawn)} images drawn as test set (stratified, seed 0)")
    return Dataset(
        folder.resolve().name, str(folder), class_names, splits[0], splits[1], notes=tuple(notes)
    )


def check(folder):
    """Refuse a folder without an image in each class; of each, only the first is opened.

    Raises:
        DataError: see `load`.
    """
    roots = _roots(folder)
    for root in roots:
        for name in _class_names(roots):
            walk = os.walk(root / name)
            images = (Path(at) / file for at, _, files in walk for file in files if is_image(file))
            if not any(map(_try_describe, images)):
                raise _no_images(root / name)


def _no_images(folder):
    return DataError(f"{folder}: no readable images in this class folder")


def _flat_split(split, folder):
    count = max(round(TEST_SHARE * len(split)), int(split.labels.max()) + 1)
    return stratified(split.labels, count, 0, f"{folder}: the test set")


def _subfolders(folder):
    try:
        return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from None


def _roots(folder):
    """Return the training and the test tree, or the one tree there is."""
    subfolders = {path.name: path for path in _subfolders(folder)}
    held_out = [subfolders[name] for name in TEST_NAMES if name in subfolders]
    if "train" in subfolders and held_out:
        return [subfolders["train"], held_out[0]]
    return [subfolders["train"] if set(subfolders) == {"train"} else folder]


def _class_names(roots):
    names = tuple(path.name for path in _subfolders(roots[0]))
    if len(names) < 2:
        found = f"one class only, {names[0]!r}" if names else "no class folders"
        raise DataError(f"{roots[0]}: {found}; expected at least two folders, one per class")
    for root in roots[1:]:
        others = {path.name for path in _subfolders(root)}
        if others != set(names):
            raise DataError(
                f"{root}: its class folders differ from {roots[0]}:"
                f" {sorted(others ^ set(names))} stand in one of them only"
            )
    return names


def _list(root, class_names):
    listing, skipped = _Listing([], [], [], True, []), Counter()
    with ThreadPoolExecutor() as pool:
        for label, name in enumerate(class_names):
            files = _files(root / name, skipped)
            for path, found in zip(files, pool.map(_try_describe, files), strict=True):
                _add(listing, path, label, found, skipped)
            if label not in listing.labels[-1:]:
                raise _no_images(root / name)
    listing.notes += [f"{root}: {count} {what}" for what, count in sorted(skipped.items())]
    return listing


def _files(folder, skipped):
    def refuse(error):
        raise DataError(f"{error.filename}: cannot be read: {error.strerror}") from None

    walk = os.walk(folder, onerror=refuse)
    files = sorted(Path(root) / name for root, _, names in walk for name in names)
    images = [path for path in files if is_image(path)]
    if len(images) < len(files):
        skipped["files skipped (no image suffix)"] += len(files) - len(images)
    return images


def _try_describe(path):
    try:
        return describe(path)
    except DataError:
        return None


def _add(listing, path, label, found, skipped):
    if found is None:
        skipped["images skipped (unreadable or damaged)"] += 1
        return
    size, grey, frames = found
    if frames > 1:
        skipped["animated images, first frame used"] += 1
    listing.paths.append(path)
    listing.labels.append(label)
    listing.sizes.append(size)
    listing.grey &= grey


def _common_size(sizes, resize_size):
    widths = {width for width, _ in sizes} | {height for _, height in sizes}
    if len(widths) == 1:
        return min(*widths, resize_size or max(widths))
    shorter = median(min(size) for size in sizes)
    return int(min(max(round(shorter / 4) * 4, 4), resize_size or MAX_SIZE))


def _decode(listing, size, grey, progress):
    total = len(listing.paths)
    images = np.empty((total, size, size, 1 if grey else 3), np.uint8)
    good = np.ones(total, bool)

    def one(index):
        try:
            images[index] = decode(listing.paths[index], (size, size), grey)
        except DataError:
            good[index] = False

    with ThreadPoolExecutor() as pool:
        for done, _ in enumerate(pool.map(one, range(total)), 1):
            if progress:
                progress(done, total)
    labels = np.asarray(listing.labels, np.int32)
    if good.all():  # the usual case: no second copy of all pixels
        return Split(images, labels)
    _check_decoded(listing, labels, good)
    return Split(images[good], labels[good])


def _check_decoded(listing, labels, good):
    listing.notes.append(f"{(~good).sum()} images skipped (truncated, damaged, or with NaN pixels)")
    for label in np.setdiff1d(labels, labels[good]):
        bad = listing.paths[int(np.flatnonzero(labels == label)[0])]
        raise _no_images(bad.parent)
