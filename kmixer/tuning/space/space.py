"""The search space: which settings are drawn, from what; both engines draw from it."""

import random
from importlib import resources

from ...config import MixerSettings, loading, schema, yaml_files
from ...errors import SettingsError, nearest
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
        _check_conditions(self.searched)

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

    def grid(self):
        """Yield every point once, the last setting changing fastest.

        Raises:
            SettingsError: a range has no end of values.
        """
        for each in self.searched:
            if each.parameter.points is None:
                raise SettingsError(
                    f"search.{each.path}: received a range without a step, expected a choice or a"
                    " step for a grid"
                )
        yield from self._grid_from({}, self.searched)

    def _grid_from(self, values, left):
        if not left:
            yield values
            return
        first, *rest = left
        if not first.active(values):
            yield from self._grid_from(values, rest)
            return
        for value in first.parameter.points:
            yield from self._grid_from(values | {first.path: value}, rest)

    def settings(self, base, values):
        """Return the base `Settings` with a point's values.

        Raises:
            SettingsError: they do not go together.
        """
        layer = {"search": None}
        for path, value in values.items():
            layer = loading.merge(layer, loading.nested(path, value))
        return loading.build(base.model_dump(mode="json"), layer)

    def check(self, base):
        """Refuse a space without a valid point, and a choice that no valid point holds.

        Raises:
            SettingsError: the error of the last point tried.
        """
        generator = random.Random(0)
        for searched in self.searched:
            for value in searched.parameter.listed or [
                searched.parameter.min,
                searched.parameter.max,
            ]:
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
    if parameter.points is not None:
        return generator.choice(parameter.points)
    return generator.uniform(parameter.min, parameter.max)


def _check_conditions(searched):
    """Refuse a condition that never holds, or whose setting is a range."""
    for each in searched:
        for path, wanted in each.parameter.when.items():
            parents = [other.parameter for other in searched if other.path == path]
            if any(parent.listed is None for parent in parents):
                raise SettingsError(f"search.{each.path}.when: {path} is no choice")
            missing = [v for v in wanted if not any(v in parent.listed for parent in parents)]
            if missing or not wanted:
                raise SettingsError(
                    f"search.{each.path}.when.{path}: received {missing or wanted}, expected values"
                    f" of {parents[0].listed}"
                )


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
    """Return the settings with kmixer's own search space, which is of plain Mixers.

    A Mixer keeps what is not searched, but for widths that narrow; another model is replaced.
    """
    section = yaml_files.parse_yaml(default_text(), "space.yaml")["search"]
    model = settings.model if settings.model.name == "mixer" else MixerSettings()
    model = model.model_copy(update={"block_dims": None, "skip_connections": True})
    changed = {"search": section, "model": model, "plateau": None}
    return settings.model_copy(update=changed)


def default_text():
    """Return the shipped search space as YAML with its comments."""
    return resources.files(__package__).joinpath("space.yaml").read_text(encoding="utf-8")
