"""Sizes and FLOPs of every architecture at its own image size, as `docs/generate` wrote them."""

import json
from importlib import resources
from typing import Any

FILE = "architectures.json"


def read_architectures() -> list[dict[str, Any]]:
    """Return what `kmixer.evaluation.model_table.Architecture.describe` gives of each.

    Building them all takes Keras and seconds.
    """
    text = resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = json.loads(text)
    return rows
