"""The search space: which settings are searched, over which values; both engines draw from it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from typing import Any

from ...config import Settings, loading, schema, yaml_files
from ...config.model import MixerSettings
from ...errors import SettingsError, nearest
from .parameter import Parameter, Searched, combinations, read
from .validity import check_values


class Space:
    """The settings that a search draws, ordered so that conditions come before what they decide.

    Args:
        section: the settings' section `search`: a parameter (or a list of values, or a list of
            conditional parameters) by the path of a setting.

    Raises:
        SettingsError: a path is no setting, a choice is empty, a range is upside down, …
    """

    def __init__(self, section: dict[str, Any]) -> None:
        valid = schema.paths()
        for path in section:
            if path not in valid or path.startswith("search"):
                raise SettingsError(f"search.{path}: no such setting{nearest(path, valid)}")
        if not section:
            raise SettingsError("search: received nothing, expected at least one setting")
        self.section = section
        searched = [setting for item in section.items() for setting in read(*item)]
        self.searched = _ordered(searched)
        _check_conditions(self.searched)

    @property
    def paths(self) -> list[str]:
        """The paths of the searched settings, each once."""
        return list(dict.fromkeys(setting.path for setting in self.searched))

    def draw(self, suggest: Callable[[Searched], Any]) -> dict[str, Any]:
        """Return the values of a point by path; `suggest(searched)` gives each active one's."""
        values: dict[str, Any] = {}
        for searched in self.searched:
            if searched.active(values):
                values[searched.path] = suggest(searched)
        return values

    def decode(self, codes: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values by path of a point's codes by name; see `point`."""
        return self.draw(lambda searched: searched.parameter.decode(codes[searched.name]))

    def point(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the codes of a point's values, by the names that the engines know."""
        return {
            searched.name: searched.parameter.encode(values[searched.path])
            for searched in self._active(values)
        }

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Say whether values are a point of the space."""
        active = self._active(values)
        try:
            inside = [s.parameter.holds(values[s.path]) for s in active]
        except (KeyError, TypeError):
            return False
        return len(active) == len(values) and all(inside)

    def _active(self, values: Mapping[str, Any]) -> list[Searched]:
        return [searched for searched in self.searched if searched.active(values)]

    def random(
        self, generator: random.Random, fixed: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return a random point; `fixed` values, by name, are taken as they are."""
        fixed = fixed or {}

        def value(searched: Searched) -> Any:
            if searched.name in fixed:
                return fixed[searched.name]
            return _random(searched.parameter, generator)

        return self.draw(value)

    def grid(self) -> Iterator[dict[str, Any]]:
        """Yield every point once, the last setting changing fastest.

        Raises:
            SettingsError: a range has infinitely many values.
        """
        for searched in self.searched:
            if searched.parameter.points is None:
                raise SettingsError(
                    f"search.{searched.path}: received a range without a step, expected a choice or"
                    " a step for a grid"
                )
        yield from combinations(self.searched)

    def settings(self, base: Settings, values: Mapping[str, Any]) -> Settings:
        """Return the base `Settings` with a point's values.

        Raises:
            SettingsError: they do not go together.
        """
        layer: dict[str, Any] = {"search": None}
        for path, value in values.items():
            layer = loading.merge(layer, loading.nest(path, value))
        return loading.build_settings(base.model_dump(mode="json"), layer)

    def check(self, base: Settings) -> None:
        """Refuse a space without a valid point, and a choice that no valid point holds.

        Raises:
            SettingsError: the error of the last point tried.
        """
        check_values(self, base)


def _random(parameter: Parameter, generator: random.Random) -> Any:
    if parameter.points is not None:
        return generator.choice(parameter.points)
    return generator.uniform(parameter.low, parameter.high)


def _check_conditions(searched: list[Searched]) -> None:
    """Refuse a condition that never holds, or whose setting is a range."""
    for setting in searched:
        for path, wanted in setting.parameter.when.items():
            parents = [other.parameter.listed for other in searched if other.path == path]
            if any(values is None for values in parents):
                raise SettingsError(f"search.{setting.path}.when: {path} is no choice")
            missing = [value for value in wanted if not any(value in v for v in parents if v)]
            if missing or not wanted:
                raise SettingsError(
                    f"search.{setting.path}.when.{path}: received {missing or wanted}, expected"
                    f" values of {parents[0]}"
                )


def _ordered(searched: list[Searched]) -> list[Searched]:
    """Return the settings, each after those that its conditions name."""
    paths = {setting.path for setting in searched}
    for setting in searched:
        for path in setting.parameter.when:
            if path not in paths:
                raise SettingsError(
                    f"search.{setting.path}.when: {path} is not searched{nearest(path, paths)}"
                )
    ordered: list[Searched] = []
    left = list(searched)
    while left:
        waiting = {setting.path for setting in left}
        free = [setting for setting in left if not waiting & setting.parameter.when.keys()]
        if not free:
            raise SettingsError(f"search.{left[0].path}.when: depends on itself in a circle")
        ordered += free
        left = [setting for setting in left if setting not in free]
    return ordered


def with_default(settings: Settings) -> Settings:
    """Return the settings with kmixer's own search space, which is of plain Mixers.

    A Mixer keeps what is not searched, but for widths that narrow; another model is replaced.
    """
    section = yaml_files.parse_yaml(default_text(), "space.yaml")["search"]
    model = settings.model if settings.model.name == "mixer" else MixerSettings()
    model = model.changed(block_dims=None, skip_connections=True)
    return settings.changed(search=section, model=model, plateau=None)


def default_text() -> str:
    """Return the shipped search space as YAML with its comments."""
    return resources.files(__package__).joinpath("space.yaml").read_text(encoding="utf-8")
