"""The Croissant description of whatever data set has a name here."""

from __future__ import annotations

from pathlib import Path

from .. import find_source
from ..dataset import Dataset
from .document import Json
from .folder import folder_document
from .named import named_document


def describe(
    name: str, dataset: Dataset, data_dir: str | None = None, out: Path | None = None
) -> Json:
    """Return the Croissant 1.0 description of a data set, JSON-able.

    Args:
        name: of the data set, or the path of an image folder.
        dataset: what `load` returned for it.
        data_dir: where prepared data sets lie, or None.
        out: the file that the description is to be written to; None: it is meant for the image
            folder itself.

    Raises:
        KmixerError: Croissant cannot say where its images are or what they show.
    """
    source = find_source(name)
    if source.is_path:
        return folder_document(name, dataset, out)
    return named_document(source.published_as(name), dataset, data_dir, source.license)
