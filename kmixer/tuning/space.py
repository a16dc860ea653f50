"""The search space: which settings are drawn, from what; both engines draw from it."""

import random
from importlib import resources

from .. import schema, settings_io
from ..config import MixerSettings
from ..errors import SettingsError, nearest
from .parameter import read

TRIES = 30  # random points that are looked at before a value is called impossible


class Space:
    """The settings that a search draws, those that others depend on first.

    Args:
        section: the settings' section `search`: a parameter (or a list of values, or a list of
            conditional parameters) by the path of a setting.

    Raises:
        SettingsError: a path is no setting, a choice is empty, a range is upside down, …
    """

    def __init__(self, section):
        valid = schema.paths()
        for path in section:
            if path not in valid or path.startswith("search"):
                raise SettingsError(f"search.{path}: no such setting{nearest(path, valid)}")
        if not section:
            raise SettingsError("search: received nothing, expected at least one setting")
        self.section = section
        self.searched = _ordered([each for item in section.items() for each in read(*item)])

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
            lambda each: (
                forced[each.name] if each.name in forced else _random(each.parameter, generator)
            )
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


def with_default(settings):
    """Return the settings with kmixer's own search space, which is of plain Mixers."""
    section = settings_io.parse_yaml(default_text(), "space.yaml")["search"]
    plain = {"model": MixerSettings(), "plateau": None}
    return settings.model_copy(update={"search": section} | plain)


def default_text():
    """Return the shipped search space as YAML with its comments."""
    return resources.files(__package__).joinpath("space.yaml").read_text(encoding="utf-8")
