"""A folder of images: `train/CLASS/*.png` + `test/CLASS/*.png`, or one flat `CLASS/*.png` tree."""

import os
from pathlib import Path

from ...dataset import Dataset, Split, stratified
from ...decode import is_image
from ..source import LoadOptions, Source
from .decoding import choose_decoding
from .layout import find_class_names, find_trees
from .listing import list_images, no_images, try_describe
from .reading import decode_all

TEST_SHARE = 0.15  # of a flat tree; drawn with seed 0, so that every run sees the same test set


def load(folder: str | Path, options: LoadOptions | None = None) -> Dataset:
    """Load an image folder into memory; nothing in it is ever written to.

    Args:
        folder: holds `train/` and `test/`, or one folder per class.
        options: how; `data_dir` means nothing here.

    Raises:
        DataError: no classes, one class only, a class without images, an unreadable folder.
    """
    folder, options = Path(folder), options or LoadOptions()
    trees = find_trees(folder)
    class_names = find_class_names(trees)
    listings = [list_images(tree, class_names) for tree in trees]
    decoding, chosen = choose_decoding(listings, options)
    splits = [decode_all(listing, decoding, options.progress) for listing in listings]
    notes = [*chosen, *(note for listing in listings for note in listing.notes)]
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
    trees = find_trees(Path(folder))
    for tree in trees:
        for name in find_class_names(trees):
            walk = os.walk(tree / name)
            images = (Path(at) / file for at, _, files in walk for file in files if is_image(file))
            if not any(map(try_describe, images)):
                raise no_images(tree / name)


def _flat_split(split: Split, folder: Path) -> tuple[Split, Split]:
    """Draw a test set from the images of a flat tree; return (training, test)."""
    count = max(round(TEST_SHARE * len(split)), int(split.labels.max()) + 1)
    rest, drawn = stratified(split.labels, count, 0, f"{folder}: the test set")
    return split.take(rest), split.take(drawn)


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):  # too long, or with a NUL in it
        return False


SOURCE = Source(
    "FOLDER",
    "train/CLASS/*.png and test/CLASS/*.png, or CLASS/*.png",
    load,
    recognizes=_is_folder,
    check=check,
    is_path=True,
)
