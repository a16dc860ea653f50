"""What in a folder is a split, what a class, and what neither.

1. What systems and tools leave (`__MACOSX`, `@eaDir`, `.ipynb_checkpoints`, all hidden files) and
   what kmixer wrote (`saved_models`, runs, exports) is left out, at any depth. So are folders
   without any image.
2. A folder that holds one folder and no other with images is a wrapping: what it wraps is read.
3. Folders named like splits (split_names.py) are splits if there is a training folder with class
   folders in it, and beside it a validation or test folder that has a class folder of the same
   name, or no class folders at all. Otherwise they are classes, such as the `train` beside `car`.
   Other folders beside splits are left out.
4. In a split's folder, a single folder may wrap the classes: `seg_train/seg_train/CLASS`.
5. Without splits, each folder is a class; all images below it are of that class.
6. A validation folder is the validation set. Where no test folder has classes, the test set is
   drawn from the training images (drawing.py). A class may lack images in a held-out folder; one
   that has none in the training folder is refused.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ....errors import DataError, few
from .contents import look_into
from .entries import Links
from .layout_errors import check_is_folder, no_class_folders, one_class
from .names import printable, shown
from .skips import LINK_BACK, Skip, relative_name
from .splits import SplitName, Splits, find_splits, unwrap

ClassFolders = dict[str, list[Path]]  # by the class's name; several where names look the same


@dataclass
class Layout:
    """What a folder holds.

    Attributes:
        root: the folder.
        folders: by split: "train", and "validation" and "test" where there are such folders.
        classes: by split: the folders of each class.
        class_names: in the order of the labels.
        links: the folders that are read, and which links may be followed.
        skips: what is left out.
        notes: on what was decided, for people.
    """

    root: Path
    folders: dict[SplitName, Path]
    classes: dict[SplitName, ClassFolders]
    class_names: tuple[str, ...]
    links: Links
    skips: list[Skip]
    notes: list[str]

    def name(self, split: SplitName) -> str:
        """Return the folder of a split, relative to the root, for people."""
        inside = relative_name(self.folders[split], self.root)
        return f"{inside}/" if inside else "./"


def find_layout(root: Path) -> Layout:
    """Find out what in a folder is a split, what a class, and what neither.

    Raises:
        DataError: no folder, no classes, one class only, or a class without training images.
    """
    check_is_folder(root)
    contents = unwrap(look_into(root, root), root)
    if not contents.folders:
        raise no_class_folders(contents, root)
    splits = find_splits(contents, root)
    links = Links(root)
    linked = _find_links_back(splits, links)
    skips = [*splits.skips, *(Skip(path, LINK_BACK, is_folder=True) for path in linked)]
    classes = {name: _by_name(found, linked) for name, found in splits.classes.items()}
    names = tuple(sorted(classes["train"]))
    if len(names) < 2:
        raise one_class(splits.folders["train"], names, skips)
    present = {name: folders for name, folders in classes.items() if folders}
    layout = Layout(root, splits.folders, present, names, links, skips, splits.notes)
    _check_held_out(layout)
    layout.notes += _notes(layout)
    return layout


def _find_links_back(splits: Splits, links: Links) -> list[Path]:
    """Return the class folders that are read under another name; take note of all others."""
    paths = [path for found in splits.classes.values() for _, path in found]
    linked = [path for path in paths if not links.is_direct(path)]
    for path in set(paths).difference(linked):
        links.add(path)
    return [path for path in sorted(linked) if not links.follow(path)]


def _by_name(found: Iterable[tuple[str, Path]], linked: Sequence[Path]) -> ClassFolders:
    """Return the class folders by the name that the class gets.

    Raises:
        DataError: different names that are shown alike.
    """
    classes: ClassFolders = {}
    originals: dict[str, str] = {}
    for original, path in found:
        if path in linked:
            continue
        name, composed = printable(original), unicodedata.normalize("NFC", original)
        if originals.setdefault(name, composed) != composed:
            raise DataError(
                f"{shown(path.parent)}: two class folders whose names are both shown as '{name}';"
                " rename one of them"
            )
        classes.setdefault(name, []).append(path)
    return classes


def _check_held_out(layout: Layout) -> None:
    """Refuse a class that has images to be measured on, but none to learn from."""
    for split, folders in layout.classes.items():
        unknown = sorted(folders.keys() - layout.classes["train"].keys())
        if unknown:
            alike = [name for name in layout.class_names if name.lower() == unknown[0].lower()]
            raise DataError(
                f"{shown(layout.folders[split])}: classes without training images:"
                f" {few([repr(name) for name in unknown])}; {layout.name('train')} has"
                f" {few([repr(name) for name in alike or layout.class_names])}"
            )


def _notes(layout: Layout) -> list[str]:
    """Say which folder became which split, unless that is plain, and which names became one."""
    folders = {name: layout.name(name) for name in layout.classes}
    notes = []
    if folders not in ({"train": "./"}, {"train": "train/", "test": "test/"}):
        notes.append("read as " + ", ".join(f"{name} set: {at}" for name, at in folders.items()))
    for name, paths in sorted(layout.classes["train"].items()):
        if len(paths) > 1:
            notes.append(f"{len(paths)} folders whose names look the same are one class, {name!r}")
    return notes
