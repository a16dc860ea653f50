"""A folder of images: `train/CLASS/*.png` + `test/CLASS/*.png`, or one flat `CLASS/*.png` tree.

What is taken for a split or a class, and what is left out, is written in `layout`.
"""

from dataclasses import dataclass, field
from pathlib import Path

from ...dataset import Dataset, Split
from ...stratified import Draw, absent_note, stratified
from ..source import LoadOptions, Source
from .decoding import choose_decoding
from .layout import Layout, find_layout
from .listing import Listing, check_classes, list_images
from .names import printable
from .nesting import nesting_notes
from .reading import read_splits
from .skips import skip_notes
from .splits import SplitName

TEST_SHARE = 0.15  # of the training images; drawn with seed 0: every run sees the same test set


@dataclass
class Read:
    """The splits of a folder, and where they come from.

    Attributes:
        splits: by name.
        layout: by split, the folder that it was read from, or what it was drawn from.
        notes: for people.
    """

    splits: dict[SplitName, Split]
    layout: dict[str, str]
    notes: list[str] = field(default_factory=list)


def load(folder: str | Path, options: LoadOptions | None = None) -> Dataset:
    """Load an image folder; nothing in it is ever written to.

    Args:
        folder: holds folders of splits with one folder per class, or one folder per class.
        options: how; `data_dir` means nothing here.

    Raises:
        DataError: no classes, one class only, a class without images, an unreadable folder.
    """
    folder, options = Path(folder), options or LoadOptions()
    layout = find_layout(folder)
    listings = list_images(layout, options)
    decoding, chosen = choose_decoding(listings, options)
    splits, kept = read_splits(folder, listings, decoding, options)
    read = Read(dict(zip(layout.classes, splits, strict=True)), _places(layout))
    if "test" not in read.splits:
        _draw_test(read, layout)
    for name, split in read.splits.items():
        read.notes += absent_note(name, split.labels, layout.class_names)
    skips = [*layout.skips, *(skip for listing in listings for skip in listing.skips)]
    nesting = nesting_notes(layout, listings[0])
    notes = [*layout.notes, *nesting, *chosen, *_listing_notes(listings), *read.notes, *kept]
    return Dataset(
        printable(folder.resolve().name),
        printable(str(folder)),
        layout.class_names,
        read.splits["train"],
        read.splits["test"],
        read.splits.get("validation"),
        notes=(*notes, *skip_notes(skips, folder)),
        skipped=tuple(skip.relative_to(folder) for skip in skips),
        layout=read.layout,
        decoding=decoding,
    )


def check(folder: str | Path) -> None:
    """Refuse a folder that lacks a readable image in a class; stops at the first one of each.

    Raises:
        DataError: see `load`.
    """
    check_classes(find_layout(Path(folder)))


def _places(layout: Layout) -> dict[str, str]:
    return {name: layout.name(name) for name in layout.classes}


def _draw_test(read: Read, layout: Layout) -> None:
    """Draw a test set from the training images."""
    train, names = read.splits["train"], layout.class_names
    draw = Draw(round(TEST_SHARE * len(train)), raised=True)
    rest, drawn = stratified(train.labels, draw, 0, names, f"{layout.root}: the test set")
    read.splits |= {"train": train.take(rest), "test": train.take(drawn)}
    read.layout["test"] = f"drawn from {read.layout['train']}"
    read.notes.append(
        f"no test folder with classes: {len(drawn):,} images of {read.layout['train']} drawn as"
        " test set (stratified, seed 0)"
    )


def _listing_notes(listings: list[Listing]) -> list[str]:
    animated = sum(listing.animated for listing in listings)
    notes = [note for listing in listings for note in listing.notes]
    return [*notes, f"{animated} animated images, first frame used"] if animated else notes


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # too long, or with a NUL in it
        return False


SOURCE = Source(
    "FOLDER",
    "train/CLASS/*.png and test/CLASS/*.png, or CLASS/*.png",
    load,
    recognizes=_exists,  # a file, too: `load` and `check` say what to do with it
    check=check,
    is_path=True,
)
