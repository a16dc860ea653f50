"""A data set that has a name as Croissant: its original files, as TFDS knows them."""

from __future__ import annotations

import mimetypes
from pathlib import PurePosixPath
from typing import Any

from ...errors import DataError, one_line
from ..dataset import Dataset
from ..sources import tfds
from .document import Json, class_set, document, split_set


def named_document(name: str, dataset: Dataset, data_dir: str | None, license: str | None) -> Json:
    """Describe a data set by the files that its authors published, their checksums and its classes.

    There is no record set of its images: Croissant has no way to read IDX files, pickles or
    TFRecords, which these are.

    Args:
        name: TFDS' name.
        dataset: what was read.
        data_dir: where prepared data sets lie, or None.
        license: its licence, where it is known.

    Raises:
        DataError: TFDS is not installed, or knows no file with a checksum.
    """
    builder = tfds.open_builder(name, data_dir)
    files = [_file_object(url, info) for url, info in (builder.url_infos or {}).items()]
    if not files:
        raise DataError(
            f"tfds:{name}: TensorFlow Datasets has no checksums of its files, which Croissant"
            " asks for; expected another data set, or an image folder"
        )
    sizes = " + ".join(f"{len(split):,} {role}" for role, split in dataset.splits.items())
    info = builder.info
    return document(
        dataset.name,
        f"{one_line(info.description, 2000)} ({sizes} images)",
        files,
        [class_set(dataset.class_names), split_set({role: role for role in dataset.splits})],
        {
            "url": info.homepage,
            "license": license or info.redistribution_info.get("license"),
            "citeAs": info.citation,
        },
    )


def _file_object(url: str, info: Any) -> Json:
    name = info.filename or PurePosixPath(url).name
    kind, encoding = mimetypes.guess_type(name)
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": url,
        "contentSize": f"{int(info.size)} B",
        "encodingFormat": f"application/{encoding}" if encoding else kind or "application/zip",
        "sha256": info.checksum,
    }
