"""All labeled images of a folder, for a model that knows its classes already.

The class names are known, so that no shape is asked of the folder: class folders, or folders of
splits that hold them, of some or one of the classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ....errors import DataError, few, nearest
from ...dataset import SkippedFile, Split
from ...decode import Decoding
from ...progress import Progress
from ..source import LoadOptions
from .contents import Contents, look_into
from .decoding import given_notes
from .entries import Links
from .layout import ClassFolders, Layout
from .layout_errors import check_is_folder
from .listing import list_images
from .names import printable, shown
from .reading import read_splits
from .skips import NO_ROLE, STRAY, Skip, skip_notes
from .split_names import Role, role_of
from .splits import SplitName

SPLITS: dict[Role, SplitName] = {
    "train": "train", "validation": "validation", "test": "test", "evaluation": "test",
    "unlabeled": "test",
}  # fmt: skip


@dataclass(frozen=True)
class Labeled:
    """The labeled images of a folder.

    Attributes:
        name: the folder's.
        parts: by split; one part `"all"` where the folder has no folders of splits.
        places: the folders of splits, relative to the folder.
        notes: what was skipped, and how the images were read, for people.
        skipped: each `SkippedFile`.
    """

    name: str
    parts: dict[str, Split]
    places: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()


def load_labeled(
    folder: str | Path,
    class_names: Sequence[str],
    decoding: Decoding,
    progress: Progress | None = None,
) -> Labeled:
    """Load all labeled images of a folder.

    Args:
        folder: holds class folders, or folders of splits that do.
        class_names: in the order of the labels; the folder may lack some of them.
        decoding: how the images become pixels.
        progress: called with (done, total) while images are read.

    Raises:
        DataError: no class folders, a class that is not among the names, or an unreadable folder.
    """
    root = Path(folder)
    check_is_folder(root)
    known = {printable(name): name for name in class_names}
    layout, places = _find_layout(root, tuple(class_names), known)
    options = LoadOptions(progress=progress)
    listings = list_images(layout, options)
    splits, kept = read_splits(root, listings, decoding, options)
    skips = [*layout.skips, *(skip for listing in listings for skip in listing.skips)]
    return Labeled(
        name=printable(root.resolve().name),
        parts={
            listing.split if places else "all": split
            for listing, split in zip(listings, splits, strict=True)
        },
        places=places,
        notes=(*given_notes(listings, decoding), *skip_notes(skips, root), *kept),
        skipped=tuple(skip.relative_to(root) for skip in skips),
    )


def unknown_classes(where: object, unknown: Sequence[str], known: Sequence[str]) -> DataError:
    """Return the error for classes that a model does not know."""
    noun = "class" if len(unknown) == 1 else "classes"
    return DataError(
        f"{where}: {len(unknown)} {noun} that the run does not know:"
        f" {few([repr(name) for name in unknown])}{nearest(unknown[0], known)}"
    )


def _find_layout(
    root: Path, class_names: tuple[str, ...], known: dict[str, str]
) -> tuple[Layout, tuple[str, ...]]:
    """Return the class folders by split, and the names of the splits' folders."""
    contents = _unwrapped(look_into(root, root), root, known)
    layout = Layout(root, {}, {}, class_names, Links(root), list(contents.skips), [])
    layout.skips += [Skip(path, STRAY) for path in contents.images]
    splits = _splits(contents, root, known)
    for role, inner in splits:
        layout.folders.setdefault(SPLITS[role], inner.folder)
        _add(layout.classes.setdefault(SPLITS[role], {}), inner, known)
        layout.skips += [*inner.skips, *(Skip(path, STRAY) for path in inner.images)]
    if not splits:
        layout.folders["train"] = contents.folder
        _add(layout.classes.setdefault("train", {}), contents, known)
        return layout, ()
    roots = {inner.folder.relative_to(contents.folder).parts[0] for _, inner in splits}
    layout.skips += [
        Skip(path, NO_ROLE, is_folder=True) for path in contents.folders if path.name not in roots
    ]
    return layout, tuple(printable(name) for name in sorted(roots))


def _unwrapped(contents: Contents, root: Path, known: dict[str, str]) -> Contents:
    """Return the contents of the folder that a folder, or several one in another, wrap."""
    while len(contents.folders) == 1 and printable(contents.folders[0].name) not in known:
        inner = look_into(contents.folders[0], root)
        if not inner.folders:
            break
        contents = inner
    return contents


def _splits(contents: Contents, root: Path, known: dict[str, str]) -> list[tuple[Role, Contents]]:
    """Return the folders of splits that hold class folders; none where classes lie beside them."""
    if any(printable(path.name) in known for path in contents.folders):
        return []
    found = []
    for path in contents.folders:
        role, inner = role_of(path.name), _unwrapped(look_into(path, root), root, known)
        if role and inner.folders:
            found.append((role, inner))
    return found


def _add(classes: ClassFolders, contents: Contents, known: dict[str, str]) -> None:
    """Add the class folders of one folder.

    Raises:
        DataError: there are none, or of a class that is not known.
    """
    names = [printable(path.name) for path in contents.folders]
    if not names:
        raise DataError(
            f"{shown(contents.folder)}: no class folders; expected folders named like the run's"
            f" classes: {few(list(known))}"
        )
    unknown = [name for name in names if name not in known]
    if unknown:
        raise unknown_classes(shown(contents.folder), unknown, list(known))
    for name, path in zip(names, contents.folders, strict=True):
        classes.setdefault(known[name], []).append(path)
