"""Errors for folders that nobody can learn classes from: what is there, and what is expected."""

import os
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from ....errors import DataError, few
from ...image_formats import is_image
from .contents import Contents, files
from .names import printable, shown
from .skips import EMPTY, NO_IMAGES, Skip

EXPECTED = "expected CLASS/*.png, one folder per class, or train/CLASS/*.png and test/CLASS/*.png"
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")
DETECTION = frozenset(("labels", "label", "annotations", "annotation", "masks", "bboxes"))
MOST_FILES = 1000  # that are looked at for an error's message


def check_is_folder(folder: Path) -> None:
    """Refuse what is no folder.

    Raises:
        DataError: see above; it says what to do with an archive or an image.
    """
    if os.path.isdir(folder):
        return
    if not os.path.exists(folder):
        raise DataError(f"{shown(folder)}: no such folder; {EXPECTED}")
    if folder.name.lower().endswith(ARCHIVES):
        raise DataError(f"{shown(folder)}: an archive; unpack it first, then name its folder")
    if is_image(folder):
        raise DataError(
            f"{shown(folder)}: an image, no folder; {EXPECTED} (kmixer predict RUN"
            f" {shown(folder)} classifies it)"
        )
    raise DataError(f"{shown(folder)}: a file, no folder; {EXPECTED}")


def no_class_folders(contents: Contents, root: Path) -> DataError:
    """Return the error for a folder without a folder that holds images."""
    name = shown(contents.folder)
    if contents.images:
        return DataError(
            f"{name}: {len(contents.images):,} images, but no class folders; {EXPECTED}"
            f"{_hint([contents.folder])} (kmixer predict RUN {name} classifies images without"
            " classes)"
        )
    some = islice(files(root, root), MOST_FILES)
    kinds = sorted({printable(path.suffix.lower() or path.name) for path in some})
    what = f"only other files ({few(kinds, 5)})" if kinds else "it is empty"
    return DataError(f"{name}: no class folders with images, {what}; {EXPECTED}")


def unlabeled_splits(contents: Contents) -> DataError:
    """Return the error for a training folder, and others, whose images lie in no class folders."""
    names = few([f"{printable(path.name)}/" for path in contents.folders])
    return DataError(
        f"{shown(contents.folder)}: {names}: images, but no class folders; {EXPECTED}"
        f"{_hint([contents.folder, *contents.folders])}"
    )


def one_class(folder: Path, names: Sequence[str], skips: Iterable[Skip]) -> DataError:
    """Return the error for a folder with fewer than two classes."""
    without = [
        f"{printable(skip.path.name)}/"
        for skip in skips
        if skip.path.parent == folder and skip.kind in (EMPTY, NO_IMAGES)
    ]
    others = f" ({few(without)} without images)" if without else ""
    present = f"one class only, {names[0]!r}" if names else "no class folders"
    return DataError(
        f"{shown(folder)}: {present}{others}; expected at least two folders with images, one per"
        f" class{_hint([folder])}"
    )


def no_training_folder(contents: Contents) -> DataError:
    """Return the error for a folder with held-out folders only."""
    names = few([f"{printable(name)}/" for name in sorted(contents.names)])
    return DataError(f"{shown(contents.folder)}: {names}, but no training folder; {EXPECTED}")


def several_folders(role: str, folders: Iterable[Path]) -> DataError:
    """Return the error for several folders that may each be the split."""
    folders = list(folders)
    names = few([f"{printable(path.name)}/" for path in folders])
    return DataError(
        f"{shown(folders[0].parent)}: {names}: several {role} folders; expected one of them"
    )


def _hint(folders: Iterable[Path]) -> str:
    """Say that folders such as `labels`, in one of these, are of another task."""
    found = {path.name.lower() for folder in folders if folder.is_dir()
             for path in folder.iterdir() if path.is_dir()}  # fmt: skip
    if not found & DETECTION:
        return ""
    return f"; {min(found & DETECTION)}/ is of object detection, which kmixer does not train"
