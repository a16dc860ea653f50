"""The readable images of a folder, described without being decoded."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from ....errors import DataError, few
from ...decode import ImageFacts, describe
from ...image_formats import is_image, misnamed, skip_reason
from ...progress import LISTING, Progress, part
from ..source import LoadOptions
from .describing import Described, describe_files
from .entries import direct_files, walk
from .layout import Layout
from .names import printable, shown
from .skips import DAMAGED, Skip, first_reason, relative_name
from .splits import SplitName

LONGEST_NAME = 1000  # characters below the data set's folder: names are an array as wide as one


@dataclass
class Listing:
    """The readable images of one split, and what of it is left out.

    Attributes:
        split: its name.
        paths: of the images.
        files: the same, relative to the data set's folder, safe to print.
        labels: of each image.
        sizes: of each image, (width, height).
        gray: whether no image has colors.
        animated: how many are; their first frame is used.
        deep: the paths of those with more than 8 bits a level.
        misnamed: how many are named as another format, by what is odd about them.
        skips: what is left out.
        notes: on the images, for people.
    """

    split: SplitName
    paths: list[Path] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    gray: bool = True
    animated: int = 0
    deep: list[Path] = field(default_factory=list)
    misnamed: Counter[str] = field(default_factory=Counter)
    skips: list[Skip] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ClassFiles:
    """The image files of one class in one split, and what else is there."""

    split: SplitName
    label: int
    folder: Path
    paths: list[Path]
    skips: list[Skip]


def list_images(layout: Layout, options: LoadOptions) -> list[Listing]:
    """Describe the images of each split.

    Args:
        layout: which folders are whose.
        options: `cache` and `progress`.

    Returns:
        A `Listing` for each split of the layout, in its order.

    Raises:
        DataError: a class folder without readable images, or a folder that cannot be read.
    """
    classes = list(_all_files(layout, part(options.progress, LISTING)))
    paths = [path for each in classes for path in each.paths]
    facts = iter(describe_files(layout.root, paths, try_describe, options))
    listings = {split: Listing(split) for split in layout.classes}
    for each in classes:
        listing, before = listings[each.split], len(listings[each.split].paths)
        listing.skips += each.skips
        for path in each.paths:
            _add(listing, layout.root, path, each.label, next(facts))
        if len(listing.paths) == before:
            raise no_images(each.folder, listing.skips)
    return list(listings.values())


def check_classes(layout: Layout) -> None:
    """Refuse a class folder without a readable image; stops at the first one of each.

    Raises:
        DataError: see above.
    """
    for split, classes in layout.classes.items():
        for name, folders in classes.items():
            if any(map(_is_readable, chain(*map(direct_files, folders)))):
                continue
            found = _class_files(layout, split, name)
            if not any(map(_is_readable, found.paths)):
                damaged = [Skip(path, DAMAGED, str(try_describe(path))) for path in found.paths]
                raise no_images(folders[0], [*found.skips, *damaged])


def _all_files(layout: Layout, progress: Progress) -> Iterator[ClassFiles]:
    """Yield the files of each class in each split, in the order of the labels."""
    present = [
        (split, name)
        for split, classes in layout.classes.items()
        for name in layout.class_names
        if name in classes
    ]
    for done, (split, name) in enumerate(present):
        progress(done, len(present))
        yield _class_files(layout, split, name)


def _class_files(layout: Layout, split: SplitName, name: str) -> ClassFiles:
    folders, label = layout.classes[split][name], layout.class_names.index(name)
    found = [each for folder in folders for each in walk(folder, layout.links)]
    skips = [each if isinstance(each, Skip) else _skip_by_name(each, layout.root) for each in found]
    paths = [
        each for each, skip in zip(found, skips, strict=True) if isinstance(each, Path) and not skip
    ]
    return ClassFiles(split, label, folders[0], paths, [skip for skip in skips if skip])


def _is_readable(path: Path) -> bool:
    return is_image(path) and not isinstance(try_describe(path), str)


def _skip_by_name(path: Path, root: Path) -> Skip | None:
    if len(relative_name(path, root)) > LONGEST_NAME:
        return Skip(path, f"a path of more than {LONGEST_NAME:,} characters")
    reason = skip_reason(path)
    return Skip(path, reason) if reason else None


def try_describe(path: Path) -> ImageFacts | str:
    """Return what an image file says about itself, or why it cannot be read."""
    try:
        return describe(path, name=path.name)
    except DataError as error:
        return str(error).removeprefix(f"{path.name}: ")


def _add(listing: Listing, root: Path, path: Path, label: int, facts: Described) -> None:
    if not isinstance(facts, ImageFacts):
        listing.skips.append(Skip(path, DAMAGED, printable(facts or "")))
        return
    listing.paths.append(path)
    listing.files.append(relative_name(path, root))
    listing.labels.append(label)
    listing.sizes.append(facts.size)
    listing.gray &= facts.gray
    listing.animated += facts.frames > 1
    if facts.deep:
        listing.deep.append(path)
    if odd := misnamed(path, facts.format):
        listing.misnamed[odd] += 1


def no_images(folder: Path, skips: Iterable[Skip] = ()) -> DataError:
    """Return the error for a class folder without a readable image, with what is there instead."""
    by_kind: dict[str, list[Skip]] = {}
    for skip in skips:
        if skip.path.is_relative_to(folder):
            by_kind.setdefault(skip.kind, []).append(skip)
    groups = sorted(by_kind.values(), key=len, reverse=True)
    found = few(
        [f"{len(group):,} × {group[0].kind}{first_reason(group)}" for group in groups], longest=200
    )
    there = f" (skipped: {found})" if found else ""
    return DataError(f"{shown(folder)}: no readable images in this class folder{there}")
