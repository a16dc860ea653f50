"""Class folders whose images lie in several folders of their own, which may be meant as classes."""

from collections.abc import Iterable
from pathlib import Path

from ....errors import few
from .layout import Layout
from .listing import Listing
from .names import printable, shown


def nesting_notes(layout: Layout, training: Listing) -> list[str]:
    """Say which classes hold folders and no image themselves, such as `fold1/cat`, `fold1/dog`.

    Args:
        layout: of the folder.
        training: its training images.
    """
    parents: dict[int, set[Path]] = {}
    for label, path in zip(training.labels, training.paths, strict=True):
        parents.setdefault(label, set()).add(path.parent)
    classes = layout.classes["train"]
    inner = {
        name: _inner_folders(classes[name], parents.get(label, ()))
        for label, name in enumerate(layout.class_names)
    }
    nested = {name: folders for name, folders in inner.items() if len(folders) > 1}
    if not nested:
        return []
    shared = set.intersection(*inner.values())
    if len(shared) > 1:
        return [
            f"each class folder holds {_named(shared)} and no image itself; if those are the"
            f" classes, train on one such folder: {shown(classes[layout.class_names[0]][0])}"
        ]
    return [
        f"{_named(nested)} hold no image themselves: those in their folders"
        f" ({few(sorted(set[str]().union(*nested.values())))}) are read as theirs"
    ]


def _inner_folders(folders: Iterable[Path], parents: Iterable[Path]) -> set[str]:
    """Return the folders directly in a class's that its images lie in; none if it has its own."""
    inside = [
        parent.relative_to(folder).parts
        for parent in parents
        for folder in folders
        if parent.is_relative_to(folder)
    ]
    return {printable(parts[0]) for parts in inside} if all(inside) else set()


def _named(names: Iterable[str]) -> str:
    return few([repr(name) for name in sorted(names)])
