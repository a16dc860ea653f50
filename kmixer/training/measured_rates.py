"""Rates that were measured on this machine, remembered beside the decoded images."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError

from ..data.cache.folder import find_cache_folder
from ..errors import KmixerError
from ..files import atomic
from ..files.text import read_text
from ..runs.conditions import present_stretch

if TYPE_CHECKING:
    from ..config import Settings
    from ..data import Dataset

FILE, MOST_BYTES, MOST_KEPT = "measured-rates.json", 1_000_000, 1_000
Rates = dict[str, float]  # examples/s by candidate
_STORED: TypeAdapter[dict[str, Rates]] = TypeAdapter(
    dict[str, dict[str, Annotated[FiniteFloat, Field(gt=0)]]]
)


def measurement_key(settings: Settings, dataset: Dataset, *asked: Any) -> str:
    """Return a digest of all that the rates depend on: the machine, the libraries, the model.

    Args:
        settings: resolved `Settings`.
        dataset: their `Dataset`.
        asked: what else the measurement depends on.
    """
    here = present_stretch(settings)
    conditions = dict(here["conditions"])
    facts = {
        "versions": here["versions"],
        "device": here["device"],
        "conditions": {k: v for k, v in conditions.items() if k not in ("precision", "jit")},
        "model": settings.model.model_dump(mode="json"),
        "optimizer": settings.optimizer.name,
        "sizes": [settings.data.resize_size, settings.data.crop_size, settings.data.batch_size],
        "images": [*dataset.image_shape, len(dataset.class_names)],
        **({"asked": asked} if asked else {}),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def stored_rates() -> dict[str, Rates]:
    """Return what is remembered; nothing where the file is missing or damaged."""
    with suppress(KmixerError, OSError, ValidationError):
        if path := _file():
            return _STORED.validate_json(read_text(path, most=MOST_BYTES))
    return {}


def remember(key: str, rates: Rates) -> None:
    """Remember rates; a folder that cannot be written only means that they are measured again."""
    kept = dict(list(stored_rates().items())[-(MOST_KEPT - 1) :]) | {key: rates}
    with suppress(KmixerError, OSError):
        if path := _file():
            atomic.make_folder(path.parent)
            atomic.write_text(path, json.dumps(kept))


def _file() -> Path | None:
    cache = find_cache_folder()
    return cache.path / FILE if cache and cache.limit else None
