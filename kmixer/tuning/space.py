"""The search space: which settings are drawn, from what; KerasTuner and Optuna both draw from it."""

import json
import random
from dataclasses import dataclass
from importlib import resources
from typing import Any

from pydantic import Field, FiniteFloat, StrictBool, ValidationError, model_validator

from .. import settings_io
from ..config import MixerSettings
from ..config.fields import Section
from ..errors import SettingsError, nearest

TRIES = 30  # random points that are looked at before a value is called impossible
KINDS = "[a, b, c], {min: …, max: …} or a list of those with `when`"


class Parameter(Section):
    """From what one setting is drawn: a choice, or a range of integers or floats."""

    choice: list[Any] | None = None
    min: int | FiniteFloat | None = None
    max: int | FiniteFloat | None = None
    step: int | FiniteFloat | None = None
    log: StrictBool = False
    when: dict[str, list[Any]] = Field({}, description="values of other settings that it needs")

    @model_validator(mode="after")
    def _agree(self):
        if self.choice is not None:
            if (self.min, self.max, self.step, self.log) != (None, None, None, False):
                raise ValueError("received a choice and a range, expected one of them")
            if not self.choice:
                raise ValueError("received an empty choice, expected at least one value")
        elif self.min is None or self.max is None:
            raise ValueError(f"received no whole range, expected {KINDS}")
        elif self.min >= self.max:
            raise ValueError(f"received {self.min}..{self.max}, expected the smaller one first")
        elif self.log and self.min <= 0:
            raise ValueError(f"received {self.min}..{self.max}:log, expected a range above 0")
        elif self.log and self.step:
            raise ValueError("received log and a step, expected one of them")
        elif self.step is not None and not 0 < self.step <= self.max - self.min:
            raise ValueError(f"received step {self.step}, expected one within the range")
        return self

    @property
    def integer(self):
        """Whether the range is of integers."""
        return all(isinstance(value, int) for value in (self.min, self.max, self.step or 0))

    @property
    def codes(self):
        """The choice as values that every engine can hold: numbers or words, else JSON texts."""
        kinds = {type(value) for value in self.choice}
        if kinds == {int, float}:
            return [float(value) for value in self.choice]
        plain = len(kinds) == 1 and kinds <= {str, int, float}
        return list(self.choice) if plain else [json.dumps(value) for value in self.choice]

    def encode(self, value):
        """Return the code of a value."""
        return value if self.choice is None else self.codes[self.choice.index(value)]

    def holds(self, value):
        """Say whether it can be drawn."""
        return value in self.choice if self.choice is not None else self.min <= value <= self.max

    def decode(self, code):
        """Return the value that a code stands for."""
        if self.choice is None:
            return int(code) if self.integer else float(code)
        return self.choice[self.codes.index(code)]


@dataclass(frozen=True)
class Searched:
    """A setting of the space.

    Attributes:
        name: in the engine; the path, and where a path comes twice its condition too.
        path: of the setting.
        parameter: a `Parameter`.
    """

    name: str
    path: str
    parameter: Parameter

    def active(self, values):
        """Say whether its conditions hold for the values drawn so far, by path."""
        return all(values.get(path) in wanted for path, wanted in self.parameter.when.items())


class Space:
    """The settings that a search draws, those that others depend on first.

    Args:
        section: the settings' section `search`: a parameter (or a list of values, or a list of
            conditional parameters) by the path of a setting.

    Raises:
        SettingsError: a path is no setting, a choice is empty, a range is upside down, …
    """

    def __init__(self, section):
        valid = settings_io.paths()
        for path in section:
            if path not in valid or path.startswith("search"):
                raise SettingsError(f"search.{path}: no such setting{nearest(path, valid)}")
        if not section:
            raise SettingsError("search: received nothing, expected at least one setting")
        self.section = section
        self.searched = _ordered([
            Searched(_name(path, each, several), path, each)
            for path, several in ((path, _read(path, value)) for path, value in section.items())
            for each in several
        ])  # fmt: skip

    def draw(self, suggest):
        """Return the values of a point by path; `suggest(searched)` gives each active one's."""
        values = {}
        for searched in self.searched:
            if searched.active(values):
                values[searched.path] = suggest(searched)
        return values

    def point(self, values):
        """Return the codes of values, by the names that the engines know."""
        return self._by_name(values, lambda each, value: each.parameter.encode(value))

    def holds(self, values):
        """Say whether values are a point of the space."""
        try:
            held = self._by_name(values, lambda each, value: each.parameter.holds(value))
        except (KeyError, TypeError):
            return False
        return len(held) == len(values) and all(held.values())

    def _by_name(self, values, of):
        return {each.name: of(each, values[each.path])
                for each in self.searched if each.active(values)}  # fmt: skip

    def random(self, generator, forced=()):
        """Return a point drawn by a `random.Random`; `forced` values stand by name."""
        forced = dict(forced)
        return self.draw(
            lambda each: forced[each.name]
            if each.name in forced
            else _random(each.parameter, generator)
        )

    def settings(self, base, values):
        """Return the base `Settings` with a point's values.

        Raises:
            SettingsError: they do not go together.
        """
        layer = {"search": None}
        for path, value in values.items():
            layer = settings_io.merge(layer, settings_io.nested(path, value))
        return settings_io.build(base.model_dump(mode="json"), layer)

    def check(self, base):
        """Refuse a space without a valid point, and a choice that no valid point holds.

        Raises:
            SettingsError: the error of the last point tried.
        """
        generator = random.Random(0)
        for searched in self.searched:
            for value in searched.parameter.choice or [searched.parameter.max]:
                forced = {searched.name: value, **self._needed(searched)}
                _check_possible(self, base, generator, forced, f"{searched.path}={value}")

    def _needed(self, searched):
        names = {each.path: each.name for each in self.searched}
        return {names[path]: wanted[0] for path, wanted in searched.parameter.when.items()}


def _check_possible(space, base, generator, forced, told):
    for _ in range(TRIES):
        try:
            space.settings(base, space.random(generator, forced))
            return
        except SettingsError as error:
            reason = error
    raise SettingsError(f"search: no valid point has {told}: {reason}")


def _random(parameter, generator):
    if parameter.choice is not None:
        return generator.choice(parameter.choice)
    if parameter.integer:
        return generator.randrange(parameter.min, parameter.max + 1, parameter.step or 1)
    return generator.uniform(parameter.min, parameter.max)


def _read(path, value):
    """Return the parameters of one path."""
    if isinstance(value, list) and value and all(isinstance(v, dict) and "when" in v for v in value):
        return [_parameter(path, each) for each in value]
    return [_parameter(path, {"choice": value} if isinstance(value, list) else value)]


def _parameter(path, value):
    try:
        return Parameter.model_validate(value)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = ".".join(map(str, problem["loc"][:1]))
        if problem["type"] == "extra_forbidden":
            reason = f"no such key{nearest(key, Parameter.model_fields)}"
            raise SettingsError(f"search.{path}.{key}: {reason}") from None
        if problem["type"] == "value_error":
            reason = problem["msg"].removeprefix("Value error, ")
            raise SettingsError(f"search.{path}: {reason}") from None
        received = problem["input"] if key else value
        where = f"search.{path}.{key}" if key else f"search.{path}"
        raise SettingsError(f"{where}: received {received!r:.60}, expected {KINDS}") from None


def _name(path, parameter, several):
    if len(several) == 1:
        return path
    conditions = (f"{key}={','.join(map(str, wanted))}" for key, wanted in parameter.when.items())
    return f"{path} ({' '.join(conditions)})"


def _ordered(searched):
    """Put each after those that its conditions name."""
    paths = {each.path for each in searched}
    for each in searched:
        for path in each.parameter.when:
            if path not in paths:
                raise SettingsError(
                    f"search.{each.path}.when: {path} is not searched{nearest(path, paths)}"
                )
    done, left = [], list(searched)
    while left:
        waiting = {each.path for each in left}
        free = [each for each in left if not waiting & each.parameter.when.keys()]
        if not free:
            raise SettingsError(f"search.{left[0].path}.when: depends on itself in a circle")
        done += free
        left = [each for each in left if each not in free]
    return done


def parse_search(texts):
    """Turn `path=a,b,c`, `path=1..8`, `path=64..256:64` or `path=1e-4..1e-2:log` into a section.

    Raises:
        SettingsError: a text is none of those, or a path comes twice.
    """
    section = {}
    for text in texts:
        path, _, values = (part.strip() for part in text.partition("="))
        if not path or not values:
            raise SettingsError(f"--search: received {text!r}, expected path.to.key=value,value,…")
        if path in section:
            raise SettingsError(f"--search: received {path} twice, expected all its values in one")
        source = f"--search {path}"
        is_range = ".." in values and not values.startswith(("[", "{"))
        section[path] = _range(values, source) if is_range else _values(values, source)
    return section


def _range(text, source):
    bounds, _, more = text.partition(":")
    low, _, high = bounds.partition("..")
    read = {"min": low, "max": high} | ({} if more in ("", "log") else {"step": more})
    values = {key: settings_io.parse_yaml(value, source) for key, value in read.items()}
    for value in values.values():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SettingsError(
                f"{source}: received {text!r}, expected min..max, min..max:log or min..max:step"
            )
    return values | ({"log": True} if more == "log" else {})


def _values(text, source):
    if text.startswith("{"):
        return settings_io.parse_yaml(text, source)
    return settings_io.parse_yaml(f"[{text}]", source)


def with_default(settings):
    """Return the settings with kmixer's own search space, which is of plain Mixers and schedules."""
    section = settings_io.parse_yaml(default_text(), "space.yaml")["search"]
    return settings.model_copy(update={"search": section, "model": MixerSettings(), "plateau": None})


def default_text():
    """Return the shipped search space as YAML with its comments."""
    return resources.files(__package__).joinpath("space.yaml").read_text(encoding="utf-8")
