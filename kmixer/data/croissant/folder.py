"""A folder of images as Croissant: its files as patterns, class and split from each file's path."""

from __future__ import annotations

import fnmatch
import glob
import mimetypes
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import DataError, SettingsError
from ..dataset import Dataset
from ..sources.image_folder.layout import Layout, find_layout
from ..sources.image_folder.listing import list_images
from ..sources.image_folder.names import shown
from ..sources.image_folder.skips import relative_name
from ..sources.source import LoadOptions
from .document import Json, class_set, document, field, split_set

RECORDS, FILES = "default", "images"


@dataclass(frozen=True)
class ClassFolder:
    """A class folder of one split.

    Attributes:
        path: relative to the description's own folder.
        split: the part of the path that names the split; empty where no folder does.
        role: of the split: "train", "validation" or "test".
        label: the part of the path that names the class.
        class_name: as kmixer has it.
        files: the images in it, relative to the description's own folder.
    """

    path: str
    split: str
    role: str
    label: str
    class_name: str
    files: list[str]


def folder_document(name: str, dataset: Dataset, out: Path | None = None) -> Json:
    """Describe an image folder, so that Croissant's readers get the images that kmixer reads.

    Args:
        name: the folder's path.
        dataset: what was read from it.
        out: the file that the description is written to; None: it is meant for the folder itself.

    Raises:
        SettingsError: the folder does not lie beside that file or below.
        DataError: Croissant cannot tell its classes from its names, or does not reach its images.
    """
    root = Path(name)
    prefix, layout = _prefix(root, out), find_layout(root)
    class_first = _is_class_first(layout)
    folders = [
        _class_folder(layout, role, class_name, path, prefix, class_first)
        for role, classes in layout.classes.items()
        for class_name, paths in classes.items()
        for path in paths
    ]
    _sort_in(folders, _read_files(root, prefix, layout, dataset))
    _check_labels(root, folders)
    splits = {each.split: each.role for each in folders if each.split}
    total = " + ".join(f"{len(split):,} {role}" for role, split in dataset.splits.items())
    described = f"{total} images in {len(dataset.class_names)} classes, a folder each."
    if not splits:
        described = (
            f"{sum(len(each.files) for each in folders):,} images in"
            f" {len(dataset.class_names)} classes, a folder each; no folder is a test set."
        )
    return document(
        dataset.name,
        described,
        [_file_set(_patterns(root, prefix, folders), folders)],
        [
            _records(folders, prefix, class_first),
            class_set(dataset.class_names),
            *([split_set(splits)] if splits else []),
        ],
        {},
    )


def _prefix(root: Path, out: Path | None) -> str:
    """Return what comes before the folder's files where the description lies: "" or "photos/"."""
    inside, place = root.resolve(), (out.parent if out else root).resolve()
    if not inside.is_relative_to(place):
        raise SettingsError(
            f"--out: received {out}, expected a file in {shown(root)} or in a folder above it:"
            " Croissant names images by where they lie from there"
        )
    parts = inside.relative_to(place).parts
    return "".join(f"{part}/" for part in parts)


def _is_class_first(layout: Layout) -> bool:
    """Return whether the folders are CLASS/train and CLASS/test."""
    paths = [path for found in layout.classes.values() for each in found.values() for path in each]
    named = {path.name for path in paths}
    return (
        len(layout.classes) > 1
        and len({path.parent for path in paths}) > 1
        and not (named >= set(layout.class_names))
    )


def _class_folder(
    layout: Layout, role: str, class_name: str, path: Path, prefix: str, class_first: bool
) -> ClassFolder:
    inside = path.relative_to(layout.root)
    above = inside.parent.as_posix().removeprefix(".")
    if class_first:
        return ClassFolder(
            prefix + inside.as_posix(), path.name, role, path.parent.name, class_name, []
        )
    split = above if len(layout.classes) > 1 else ""
    return ClassFolder(prefix + inside.as_posix(), split, role, path.name, class_name, [])


def _read_files(root: Path, prefix: str, layout: Layout, dataset: Dataset) -> list[str]:
    """Return the images that were read, relative to the description's own folder."""
    names = [split.files for split in dataset.splits.values() if split.files is not None]
    read = {str(file) for files in names for file in files}
    listings = list_images(layout, LoadOptions())
    paths = [path for listing in listings for path in listing.paths]
    files = [
        prefix + p.relative_to(root).as_posix() for p in paths if relative_name(p, root) in read
    ]
    for file in files:
        try:
            file.encode()
        except UnicodeEncodeError:
            raise DataError(
                f"{shown(root)}: {file!r} is not UTF-8, which Croissant cannot write; rename it"
            ) from None
    return files


def _sort_in(folders: Sequence[ClassFolder], files: Iterable[str]) -> None:
    """Put each file into its class folder."""
    by_path = {each.path: each for each in folders}
    for file in files:
        path = file
        while path not in by_path:
            path = path.rpartition("/")[0]
        by_path[path].files.append(file)


def _check_labels(root: Path, folders: Iterable[ClassFolder]) -> None:
    """Refuse a class whose name is not that of its folder, letter for letter."""
    for each in folders:
        if each.label != each.class_name:
            raise DataError(
                f"{shown(root)}: the folder {each.label!a} is the class"
                f" {each.class_name!a}, and Croissant takes a name as it is written; rename"
                " the folder"
            )


def _patterns(root: Path, prefix: str, folders: Sequence[ClassFolder]) -> list[str]:
    """Return the patterns that match the images which were read, and no other files.

    Croissant has them match whole paths, so that `*` reaches into folders. Where a class folder
    holds files that were left out, its images are named one by one.

    Raises:
        DataError: an image lies behind a link, which its readers do not follow.
    """
    present = {
        prefix + (Path(folder) / name).relative_to(root).as_posix()
        for folder, _, names in os.walk(root)
        for name in names
    }
    patterns: list[str] = []
    for each in folders:
        if unreached := set(each.files) - present:
            raise DataError(
                f"{shown(root)}: {min(unreached)} lies behind a link, which Croissant does not"
                " follow; copy the images into the folder"
            )
        start = glob.escape(each.path)
        by_suffix = sorted({f"{start}/*{glob.escape(Path(file).suffix)}" for file in each.files})
        inside = [file for file in present if file.startswith(f"{each.path}/")]
        matched = {file for one in by_suffix for file in inside if fnmatch.fnmatchcase(file, one)}
        exact = matched == set(each.files)
        patterns += by_suffix if exact else map(glob.escape, sorted(each.files))
    return patterns


def _file_set(patterns: Sequence[str], folders: Iterable[ClassFolder]) -> Json:
    files = [file for each in folders for file in each.files]
    kinds = {mimetypes.guess_type(file)[0] or "application/octet-stream" for file in files}
    return {
        "@type": "cr:FileSet",
        "@id": FILES,
        "name": FILES,
        "description": f"{len(files):,} image files.",
        "encodingFormat": sorted(kinds),
        "includes": list(patterns),
    }


def _records(folders: Sequence[ClassFolder], prefix: str, class_first: bool) -> Json:
    """Return the record set of the images: image, label, file and, where there are some, split.

    Label and split do not refer to the record sets that list them: mlcroissant joins in place, and
    of two fields from one path the second finds what the first left of it.
    """
    start, splits = re.escape(prefix), sorted({each.split for each in folders})
    named = "|".join(map(re.escape, splits))
    base = re.escape(_base(folders[0], prefix)) if class_first else ""
    if class_first:
        label, split = f"^{start}{base}([^/]+)/", f"^{start}{base}[^/]+/({named})/"
    elif named:
        label, split = f"^{start}(?:{named})/([^/]+)/", f"^{start}({named})/"
    else:
        above = folders[0].path.removeprefix(prefix).rpartition("/")[0]
        label, split = f"^{start}{re.escape(above + '/' if above else '')}([^/]+)/", ""
    fields = [
        field(RECORDS, "image", "sc:ImageObject", source=_source("content")),
        field(RECORDS, "label", ["sc:Text", "cr:Label"], source=_source("fullpath", label)),
        field(RECORDS, "file", "sc:Text", source=_source("fullpath")),
    ]
    if split:
        kinds = ["sc:Text", "cr:Split"]
        fields.append(field(RECORDS, "split", kinds, source=_source("fullpath", split)))
    return {"@type": "cr:RecordSet", "@id": RECORDS, "name": RECORDS, "field": fields}


def _base(folder: ClassFolder, prefix: str) -> str:
    """Return what lies between the data set's folder and CLASS/train: wrapping folders."""
    inside = folder.path.removeprefix(prefix).split("/")[:-2]
    return "".join(f"{part}/" for part in inside)


def _source(file_property: str, regex: str | None = None) -> Json:
    source: Json = {"fileSet": {"@id": FILES}, "extract": {"fileProperty": file_property}}
    return source | ({"transform": {"regex": regex}} if regex else {})
