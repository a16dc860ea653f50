"""The JSON-LD of Croissant 1.0 (docs.mlcommons.org/croissant/docs/croissant-spec.html)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = dict[str, Any]

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
# As the specification has it: readers compare it word for word.
_CROISSANT = (
    "citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject",
    "fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField",
    "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator",
    "source", "subField", "transform",
)  # fmt: skip
CONTEXT: Json = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{name: f"cr:{name}" for name in _CROISSANT},
}
SPLIT_URLS = {
    "train": "cr:TrainingSplit",
    "validation": "cr:ValidationSplit",
    "test": "cr:TestSplit",
}


def document(
    name: str, description: str, distribution: Sequence[Json], record_sets: Sequence[Json],
    known: Mapping[str, str | None],
) -> Json:  # fmt: skip
    """Return a data set's description.

    Args:
        name: of the data set.
        description: in a few sentences.
        distribution: its files.
        record_sets: what they hold.
        known: license, url, citeAs, version: what is not known is left out.
    """
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": name,
        "description": description,
        **{key: value for key, value in known.items() if value},
        "distribution": list(distribution),
        "recordSet": list(record_sets),
    }


def class_set(class_names: Iterable[str]) -> Json:
    """Return the record set of the classes: name and number of each."""
    rows = [{"classes/name": name, "classes/index": i} for i, name in enumerate(class_names)]
    types = {"name": "sc:Text", "index": "sc:Integer"}
    return _table("classes", "sc:Enumeration", types, rows, "The classes, and their numbers.")


def split_set(splits: Mapping[str, str]) -> Json:
    """Return the record set of the splits.

    Args:
        splits: "train", "validation" or "test", by the name that a split has in the files.
    """
    rows = [{"splits/name": name, "splits/url": SPLIT_URLS[role]} for name, role in splits.items()]
    types = {"name": "sc:Text", "url": "sc:URL"}
    return _table("splits", "cr:Split", types, rows, "The splits, and what each is for.")


def _table(
    name: str, kind: str, types: Mapping[str, str], rows: Sequence[Json], description: str
) -> Json:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "dataType": kind,
        "key": {"@id": f"{name}/name"},
        "field": [field(name, key, data_type) for key, data_type in types.items()],
        "data": list(rows),
    }


def field(record_set: str, name: str, data_type: str | list[str], **more: Any) -> Json:
    """Return a field of a record set.

    Args:
        record_set: its name.
        name: of the field in it.
        data_type: of its values.
        more: further keys, such as `source`.
    """
    identity = {"@type": "cr:Field", "@id": f"{record_set}/{name}", "name": name}
    return {**identity, "dataType": data_type, **more}
