"""What a folder holds: folders with images, images, and what is neither."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from ....errors import few
from ...image_formats import is_image, skip_reason
from .entries import Links, direct_files, read_entries, walk
from .names import printable
from .skips import EMPTY, NO_IMAGES, Skip

NO_SUFFIX = "no image suffix"
MOST_FILES = 100  # of a folder without images, whose suffixes are told


@dataclass(frozen=True)
class Contents:
    """What a folder holds.

    Attributes:
        folder: its path.
        folders: those in it that hold images, at any depth, by name.
        images: the image files directly in it.
        skips: what else is in it.
    """

    folder: Path
    folders: list[Path] = field(default_factory=list)
    images: list[Path] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)

    @property
    def names(self) -> set[str]:
        """The names of its folders with images."""
        return {path.name for path in self.folders}

    def imageless(self, kind: str) -> list[Path]:
        """Return its folders without images: those that are `EMPTY`, or that hold other files."""
        return [skip.path for skip in self.skips if skip.is_folder and skip.kind == kind]


def look_into(folder: Path, root: Path) -> Contents:
    """Return what a folder holds.

    Args:
        folder: the folder.
        root: the data set's.

    Raises:
        DataError: it cannot be read.
    """
    entries = read_entries(folder)
    contents = Contents(folder, skips=entries.skips)
    for path in entries.folders:
        if holds_images(path, root):
            contents.folders.append(path)
        else:
            contents.skips.append(_without_images(path, root))
    for path in entries.files:
        if looks_like_image(path):
            contents.images.append(path)
        else:
            contents.skips.append(Skip(path, skip_reason(path) or NO_SUFFIX))
    return contents


def _without_images(folder: Path, root: Path) -> Skip:
    """Return why a folder is left out, with the suffixes of what is in it."""
    some = list(islice(files(folder, root), MOST_FILES))
    kinds = sorted({printable(path.suffix.lower() or path.name) for path in some})
    return Skip(folder, NO_IMAGES if some else EMPTY, few(kinds), is_folder=True)


def files(folder: Path, root: Path) -> Iterator[Path]:
    """Yield the files in and below a folder."""
    return (found for found in walk(folder, Links(root)) if isinstance(found, Path))


def holds_images(folder: Path, root: Path) -> bool:
    """Return whether an image lies in or below a folder; whether it can be read is not asked."""
    return any(map(looks_like_image, chain(direct_files(folder), files(folder, root))))


def looks_like_image(path: Path) -> bool:
    """Return whether a file is named like an image, of one that cannot be read here as well."""
    return is_image(path) or not (skip_reason(path) or "").startswith(NO_SUFFIX)
