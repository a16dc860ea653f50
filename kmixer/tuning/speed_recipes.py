"""The recipes of the speed run: for each mark of a data set a preset, and what differs from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from ..config.yaml_files import mapping, parse_yaml
from ..errors import SettingsError
from .sweep import yaml_word

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


@dataclass(frozen=True)
class SpeedRecipe:
    """How a mark is reached.

    Attributes:
        preset: the preset that it builds on; None: none, or the data set's own.
        assignments: what differs from it, as `path=value` texts.
        flip_averaging: the test figure is of `kmixer evaluate RUN --flip-averaging`.
    """

    preset: str | None
    assignments: tuple[str, ...]
    flip_averaging: bool = False


def all_marks() -> dict[str, list[int]]:
    """Return the marks of each data set that has some, in per cent."""
    return {dataset: sorted(files) for dataset, files in _files().items()}


def choose_marks(dataset: str, asked: Sequence[int] | None) -> list[int]:
    """Return the marks to reach, in per cent: those asked for, or all of the data set.

    Raises:
        SettingsError: the data set has no marks, or not one of those; the valid ones are named.
    """
    marks = all_marks()
    if dataset not in marks:
        raise SettingsError(
            f"data set: received {dataset!r}, expected one that has marks: {', '.join(marks)}"
        )
    for mark in asked or ():
        if mark not in marks[dataset]:
            valid = ", ".join(map(str, marks[dataset]))
            raise SettingsError(f"--mark: received {mark}, expected one of {dataset}: {valid}")
    return sorted(set(asked or marks[dataset]))


def read_recipe(dataset: str, mark: int) -> SpeedRecipe:
    """Return the shipped recipe of a mark that `choose_marks` returned."""
    file = _files()[dataset][mark]
    values = mapping(parse_yaml(file.read_text(encoding="utf-8"), file.name), file.name)
    preset, flips = values.pop("preset"), values.pop("flip_averaging", False)
    return SpeedRecipe(preset, tuple(assignments(values)), flips)


def _files() -> dict[str, dict[int, Traversable]]:
    """Return the files by data set and mark; their names are DATASET-MARK.yaml."""
    found: dict[str, dict[int, Traversable]] = {}
    folder = resources.files("kmixer_configs").joinpath("speedruns")
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        dataset, _, mark = file.name.removesuffix(".yaml").rpartition("-")
        found.setdefault(dataset, {})[int(mark)] = file
    return found


def assignments(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Yield nested settings as `path=value` texts."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from assignments(value, f"{above}{key}.")
        else:
            yield f"{above}{key}={yaml_word(value)}"
