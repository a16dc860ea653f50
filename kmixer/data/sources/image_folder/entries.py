"""What lies in a folder, without what systems and tools leave there; links are followed."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ....errors import DataError, file_problem
from ...image_formats import is_image
from .names import shown
from .skips import BROKEN_LINK, HIDDEN, LINK_BACK, NOT_A_FILE, OWN_OUTPUT, Skip

# In lower case. Names that begin with a dot are left out as well.
LEFT_BY_TOOLS = frozenset((
    "__macosx", "__pycache__", "@eadir", "@tmp", "@synoresource", "#recycle", "#snapshot",
    "$recycle.bin", "recycler", "system volume information", "lost+found", "thumbs.db",
    "ehthumbs.db", "desktop.ini", "icon\r",
))  # fmt: skip
RUNS_FOLDER = "saved_models"
# Two files of each folder that kmixer writes, and a word that the first of them holds.
WRITTEN = (
    ("config.yaml", "labels.txt", "\nrun:"),
    ("manifest.json", "labels.txt", '"class_names"'),
    ("metrics.json", "confusion_matrix.png", '"per_class"'),
)
BEGINNING = 1_000_000  # bytes of it that are looked at
DEEPEST = 100  # folders in each other; each is looked at from each of those above it
INSIDE_RUNS = frozenset(("evaluation", "export", "tensorboard"))


@dataclass
class Entries:
    """The folders and files in a folder, by name, and what is left out."""

    folders: list[Path] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)


def read_entries(folder: Path) -> Entries:
    """Read a folder.

    Raises:
        DataError: it cannot be read.
    """
    entries = Entries()
    try:
        with os.scandir(folder) as scan:
            for entry in sorted(scan, key=lambda entry: entry.name):
                _add(entries, folder / entry.name, entry)
    except OSError as error:
        raise DataError(f"{shown(folder)}: cannot be read: {file_problem(error)}") from None
    return entries


def _add(entries: Entries, path: Path, entry: os.DirEntry[str]) -> None:
    is_folder = _is_folder(entry)
    if _is_left_by_tools(entry.name):
        entries.skips.append(Skip(path, HIDDEN, is_folder=is_folder))
    elif is_folder and is_own_output(path):
        entries.skips.append(Skip(path, OWN_OUTPUT, is_folder=True))
    elif is_folder:
        entries.folders.append(path)
    elif _is_file(entry):
        entries.files.append(path)
    else:
        kind = NOT_A_FILE if os.path.exists(path) else BROKEN_LINK
        entries.skips.append(Skip(path, kind))


def direct_files(folder: Path) -> Iterator[Path]:
    """Yield the files directly in a folder, in no order and one by one: the first comes quickly."""
    try:
        with os.scandir(folder) as scan:
            for entry in scan:
                if not _is_left_by_tools(entry.name) and _is_file(entry):
                    yield folder / entry.name
    except OSError:
        return  # whoever reads it all says so


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether it is a folder, or leads to one; a link in a circle leads to none."""
    return os.path.isdir(entry) if entry.is_symlink() else entry.is_dir()


def _is_file(entry: os.DirEntry[str]) -> bool:
    return os.path.isfile(entry) if entry.is_symlink() else entry.is_file()


def _is_left_by_tools(name: str) -> bool:
    return name.startswith(".") or name.lower() in LEFT_BY_TOOLS


def is_own_output(folder: Path) -> bool:
    """Return whether kmixer wrote a folder: a run, an export, or a folder of nothing but those."""
    if folder.name == RUNS_FOLDER or _is_written(folder):
        return True
    inside = []
    try:
        with os.scandir(folder) as scan:
            for entry in scan:
                if is_image(entry.name):
                    return False  # the usual case, seen at the first entry
                if _is_folder(entry) and not entry.name.startswith("."):
                    inside.append(folder / entry.name)
    except OSError:
        return False  # whoever reads it says so
    return bool(inside) and all(map(_is_written, inside))


def _is_written(folder: Path) -> bool:
    """Return whether a folder is a run, an export or an evaluation.

    Others have files of these names, too; then either the content or the folders inside tell.
    """
    for first, second, word in WRITTEN:
        if all(os.path.isfile(folder / name) for name in (first, second)):
            inside = {path.name for path in folder.iterdir() if path.is_dir()}
            return inside <= INSIDE_RUNS or word in _beginning(folder / first)
    return False


def _beginning(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(BEGINNING).decode("utf-8", "replace")
    except OSError:
        return ""


class Links:
    """Which linked folders may be followed, so that each folder is read once, and none for ever.

    Args:
        root: the data set's folder: a link to a folder that holds it leads back.
    """

    def __init__(self, root: Path) -> None:
        self.given = root
        self.root = Path(os.path.realpath(root))
        self.read = set[str]()  # the real paths of folders that are read

    def is_direct(self, path: Path) -> bool:
        """Return whether no link lies between the data set's folder and a folder in it."""
        return os.path.realpath(path) == str(self.root / path.relative_to(self.given))

    def add(self, path: Path) -> None:
        """Take note that a folder is read."""
        self.read.add(os.path.realpath(path))

    def follow(self, path: Path) -> bool:
        """Take note that a folder is read; return False if it, or a part of it, is read already."""
        real = Path(os.path.realpath(path))
        if {str(real), *map(str, real.parents)} & self.read or self.root.is_relative_to(real):
            return False
        inside = str(real) + os.sep
        if any(read.startswith(inside) for read in self.read):
            return False
        self.read.add(str(real))
        return True


def walk(folder: Path, links: Links) -> Iterator[Path | Skip]:
    """Yield the files in and below a folder by name, and what is left out.

    Raises:
        DataError: a folder cannot be read, or lies deeper than any data set's.
    """
    pending = [folder]
    folders = {folder}
    while pending:
        path = pending.pop()
        if path not in folders:
            yield path
        elif path != folder and path.is_symlink() and not links.follow(path):
            yield Skip(path, LINK_BACK, is_folder=True)
        elif len(path.parts) > len(folder.parts) + DEEPEST:
            raise DataError(f"{shown(folder)}: more than {DEEPEST} folders in each other")
        else:
            entries = read_entries(path)
            yield from entries.skips
            folders.update(entries.folders)
            inside = [*entries.files, *entries.folders]
            pending += sorted(inside, key=lambda path: path.name, reverse=True)
