"""tracking.json: the record that each tracker has of a folder, which a resumed training goes on in.

It names records alone, no places: where a tracker writes is never read from a folder, which may
come from anybody.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ..errors import KmixerWarning, RunError
from ..files import atomic
from ..files.text import read_text

FILE = "tracking.json"
MOST_BYTES = 10_000
LEVELS = 2  # a search's runs lie in its folder `trials`


class Record(BaseModel):
    """A tracker's record of a folder.

    Attributes:
        id: as the tracker names it.
        steps: how many epochs it has received.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    id: Annotated[str, Field(max_length=250, pattern=r"^\w[\w.,=+-]*$")]
    steps: Annotated[int, Field(ge=0, lt=2**31)] = 0


_RECORDS = TypeAdapter(dict[str, Record])


def read_records(folder: Path) -> dict[str, Record]:
    """Return the records of a folder by the trackers' names; a damaged file counts as none."""
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        return _RECORDS.validate_json(read_text(path, most=MOST_BYTES))
    except (RunError, ValidationError):
        message = f"{path}: damaged, so that its trackers begin a new record"
        warnings.warn(message, KmixerWarning, stacklevel=2)
        return {}


def write_records(folder: Path, records: Mapping[str, Record]) -> None:
    """Write the records of a folder by the trackers' names."""
    values = {name: record.model_dump() for name, record in records.items()}
    atomic.write_text(folder / FILE, json.dumps(values, indent=2) + "\n", within=folder)


def find_parent(folder: Path) -> Path | None:
    """Return the folder of the tracked sweep or search that a run's folder lies in, or None."""
    above = folder.resolve().parents[:LEVELS]
    return next((parent for parent in above if (parent / FILE).is_file()), None)
