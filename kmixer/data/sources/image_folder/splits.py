"""The folders of splits: found by their names, believed by what they hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ....errors import few
from .contents import Contents, files, look_into, looks_like_image
from .layout_errors import no_training_folder, several_folders, unlabeled_splits
from .names import printable, shown
from .skips import EMPTY, NO_ROLE, STRAY, Skip
from .split_names import Role, is_plain, is_wrapper, role_of

SplitName = Literal["train", "validation", "test"]
ROLE_NAMES: dict[SplitName, str] = {"train": "training", "validation": "validation", "test": "test"}


@dataclass
class Splits:
    """The class folders of each split.

    Attributes:
        folders: by split: what it is read from.
        classes: by split: (name, folder) of each class.
        skips: what is left out.
        notes: for people.
    """

    folders: dict[SplitName, Path] = field(default_factory=dict)
    classes: dict[SplitName, list[tuple[str, Path]]] = field(default_factory=dict)
    skips: list[Skip] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: SplitName, contents: Contents) -> None:
        """Add a split whose class folders lie in one folder."""
        self.folders[name] = contents.folder
        self.classes[name] = [(path.name, path) for path in contents.folders]
        self.skips += contents.skips
        self.skips += [Skip(path, STRAY) for path in contents.images]


def find_splits(contents: Contents, root: Path) -> Splits:
    """Return the splits of a folder; without folders of splits all is training images.

    Args:
        contents: of the folder.
        root: the data set's.

    Raises:
        DataError: folders named like splits, but none to train on, or several that may be meant.
    """
    named = _named_like_splits(contents, root)
    if _are_splits(contents, named):
        return _by_role(contents, named, root)
    splits = _class_first(contents, root)
    if splits:
        return splits
    splits = Splits()
    splits.add("train", contents)
    if named and len(contents.folders) > 1:
        names = few([f"{printable(path.name)}/" for path in contents.folders if path in named])
        splits.notes.append(
            f"{names} taken for a class: no training folder beside a held-out one of its classes"
        )
    return splits


def unwrap(contents: Contents, root: Path) -> Contents:
    """Return the contents of the folder that a folder, or several one in another, wrap.

    A folder beside an empty one is no wrapping: that may be a class whose images are missing.
    """
    while len(contents.folders) == 1 and not contents.imageless(EMPTY):
        inner = look_into(contents.folders[0], root)
        if not inner.folders:
            break
        contents = _inner(contents, inner)
    return contents


def _inner(outer: Contents, inner: Contents) -> Contents:
    strays = [Skip(path, STRAY) for path in outer.images]
    return Contents(
        inner.folder, inner.folders, inner.images, [*outer.skips, *strays, *inner.skips]
    )


def _named_like_splits(contents: Contents, root: Path) -> dict[Path, tuple[Role, Contents]]:
    """Return the folders that are named like splits, with what they hold without wrappings."""
    roles = {path: role for path in contents.folders if (role := role_of(path.name))}
    held_out: tuple[Role, ...] = ("validation", "test")
    free = [role for role in held_out if role not in roles.values()]
    named: dict[Path, tuple[Role, Contents]] = {}
    for path, role in roles.items():
        if role != "evaluation":
            named[path] = role, _classes_of(path, root)
        elif free:
            named[path] = free.pop(0), _classes_of(path, root)
    return named


def _classes_of(folder: Path, root: Path) -> Contents:
    contents = look_into(folder, root)
    while len(contents.folders) == 1 and is_wrapper(contents.folders[0].name, folder.name):
        contents = _inner(contents, look_into(contents.folders[0], root))
    return contents


def _are_splits(contents: Contents, named: Mapping[Path, tuple[Role, Contents]]) -> bool:
    """Return whether folders that are named like splits are splits, by what they hold."""
    trains = [inner for role, inner in named.values() if role == "train"]
    held_out = [inner for role, inner in named.values() if role != "train"]
    all_named = len(named) == len(contents.folders)
    if not trains:
        if all_named and len(held_out) > 1:
            raise no_training_folder(contents)
        return False
    classes = set[str]().union(*(map(printable, inner.names) for inner in trains))
    if not classes:
        if all_named:
            raise unlabeled_splits(contents)
        return False
    return all_named or any(
        not inner.folders or classes & set(map(printable, inner.names)) for inner in held_out
    )


def _by_role(contents: Contents, named: Mapping[Path, tuple[Role, Contents]], root: Path) -> Splits:
    """Return the splits; folders that are none are left out."""
    splits = Splits(skips=list(contents.skips))
    splits.skips += [Skip(path, STRAY) for path in contents.images]
    for name in ROLE_NAMES:
        labeled = [path for path, (role, inner) in named.items() if role == name and inner.folders]
        if labeled:
            splits.add(name, named[_choose(name, labeled)][1])
    for path in contents.folders:
        if not any(folder.is_relative_to(path) for folder in splits.folders.values()):
            splits.skips.append(Skip(path, _why_left_out(path, named, root), is_folder=True))
    return splits


def _choose(name: SplitName, folders: list[Path]) -> Path:
    """Return the one folder of a split; of several the one with the plain name."""
    plain = [path for path in folders if is_plain(path.name)]
    if len(folders) == 1 or len(plain) == 1:
        return (folders if len(folders) == 1 else plain)[0]
    raise several_folders(ROLE_NAMES[name], folders)


def _why_left_out(path: Path, named: Mapping[Path, tuple[Role, Contents]], root: Path) -> str:
    if path not in named:
        return NO_ROLE
    role, inner = named[path]
    if inner.folders and role in ROLE_NAMES:
        return f"a second {ROLE_NAMES[role]} folder"
    count = sum(map(looks_like_image, files(path, root)))
    return (
        f"{count:,} image{'s' * (count != 1)} without class folders; classify them with: kmixer"
        f" predict RUN {shown(path)}"
    )


def _class_first(contents: Contents, root: Path) -> Splits | None:
    """Return the splits of `CLASS/train/*.png` and `CLASS/test/*.png`; None if it is not that."""
    splits = Splits(skips=list(contents.skips))
    splits.skips += [Skip(path, STRAY) for path in contents.images]
    for folder in contents.folders:
        inner = look_into(folder, root)
        roles = {role_of(path.name): path for path in inner.folders}
        if "train" not in roles or not roles.keys() & {"validation", "test"}:
            return None
        splits.skips += [*inner.skips, *(Skip(path, STRAY) for path in inner.images)]
        for path in inner.folders:
            role = role_of(path.name)
            if role in ("train", "validation", "test"):
                splits.folders[role] = contents.folder / "CLASS" / path.name  # for people
                splits.classes.setdefault(role, []).append((folder.name, path))
            else:
                splits.skips.append(Skip(path, NO_ROLE, is_folder=True))
    splits.classes = {name: splits.classes[name] for name in ROLE_NAMES if name in splits.classes}
    return splits
