"""Settings from YAML, presets and flags, and back: defaults < preset < file < flags."""

import re
from importlib import resources
from pathlib import Path

import yaml
from pydantic import ValidationError

from .config import Settings
from .errors import SettingsError, nearest
from .schema import brief, one_line

DEEPEST, MOST_VALUES = 30, 100_000  # of what is read as settings
CHOICES = ("model", "optimizer", "schedule")  # sections whose `name` decides what keys they have


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core rules: `on` and `no` are words, `1e-3` is a number."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if not tag.endswith((":bool", ":float"))]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$"
        r"|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
    ),
    "-+0123456789.",
)


def parse_yaml(text, source):
    """Parse YAML safely.

    Raises:
        SettingsError: the text is not YAML; `source` names where it came from.
    """
    try:
        values = yaml.load(text, Loader=_Loader)
        _check_size(values)
    except RecursionError:
        raise SettingsError(f"{source}: expected YAML of settings, received nested lists") from None
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"{source}: expected YAML, received something else: {reason}") from None
    return values


def _check_size(values):
    """Refuse what is nested deeper, or unfolds to more values, than any settings.

    An alias stands for all that it names, and aliases of aliases make billions of a few lines.
    """
    depth, count = _size(values, {})
    if depth > DEEPEST or count > MOST_VALUES:
        raise ValueError(f"it unfolds to {count:,} values, {depth} levels deep")


def _size(value, known):
    """Return (levels, values) of nested dicts and lists, those that stand twice counted twice."""
    if not isinstance(value, dict | list):
        return 0, 1
    if id(value) not in known:
        known[id(value)] = (DEEPEST, MOST_VALUES)  # what an alias inside it, to itself, counts as
        inner = [
            _size(item, known) for item in (value.values() if isinstance(value, dict) else value)
        ]
        depths, counts = zip((0, 0), *inner, strict=True)
        known[id(value)] = (1 + max(depths), 1 + sum(counts))
    return known[id(value)]


def read_file(path, keep_run=False):
    """Return the keys a YAML settings file sets, as nested dicts.

    A run's own config.yaml can be read: its section `run`, which sets nothing, is left out unless
    `keep_run` is true.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SettingsError(f"settings file {str(path)!r} cannot be read: {reason}") from None
    values = _mapping(parse_yaml(text, str(path)), str(path))
    if not keep_run:
        values.pop("run", None)
    return values


def _mapping(values, source):
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(
            f"{source}: received a {type(values).__name__}, expected sections such as 'model:'"
        )
    return values


def preset_names():
    """Return the names of the shipped presets."""
    files = resources.files("kmixer_configs").iterdir()
    return sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml"))


def preset_text(name):
    """Return a shipped preset's YAML text, its heading comment included.

    Raises:
        SettingsError: there is no preset of that name; the nearest are named.
    """
    if name not in preset_names():
        raise SettingsError(
            f"preset: received {name!r}, no such preset{nearest(name, preset_names())}"
        )
    return resources.files("kmixer_configs").joinpath(f"{name}.yaml").read_text(encoding="utf-8")


def preset_heading(name):
    """Return the first line of a preset's heading comment."""
    return preset_text(name).splitlines()[0].lstrip("# ")


def read_preset(name):
    """Return the keys a shipped preset sets, as nested dicts."""
    return _mapping(parse_yaml(preset_text(name), f"preset {name}"), f"preset {name}")


def parse_assignment(text):
    """Turn `path.to.key=value` into nested dicts; the value is read as YAML."""
    path, equals, value = text.partition("=")
    if not equals or not _is_path(path):
        raise SettingsError(f"--set: received {text!r}, expected path.to.key=value")
    return nested_text(path.strip(), value)


def parse_lists(texts, option):
    """Turn `path.to.key=values` texts into a dict of the values' texts by path.

    Args:
        texts: as the option was given.
        option: its name, for the error.

    Raises:
        SettingsError: a text is no such assignment, or a path comes twice.
    """
    found = {}
    for text in texts:
        path, _, values = (part.strip() for part in text.partition("="))
        if not _is_path(path) or not values:
            raise SettingsError(f"{option}: received {text!r}, expected path.to.key=value,value,…")
        if path in found:
            raise SettingsError(f"{option}: received {path} twice, expected all its values in one")
        found[path] = values
    return found


def _is_path(text):
    return all(key.strip() for key in text.split("."))


def nested_text(path, value):
    """Return nested dicts for a value that, if it is text, is read as YAML."""
    return nested(path, parse_yaml(value, path) if isinstance(value, str) else value)


def nested(path, value):
    """Return `{"a": {"b": value}}` for the path `a.b`."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def flat(settings):
    """Return the values of all settings by their paths, such as `model.blocks`."""
    return _flat(settings.model_dump(mode="json"))


def _flat(values, path=""):
    if not isinstance(values, dict):
        return {path: values}
    return {k: v for key, inner in values.items()
            for k, v in _flat(inner, f"{path}.{key}" if path else key).items()}  # fmt: skip


def merge(lower, upper):
    """Lay the nested dicts `upper` over `lower`."""
    if not isinstance(lower, dict) or not isinstance(upper, dict):
        return upper
    return lower | {key: merge(lower.get(key), value) for key, value in upper.items()}


def _choose(lower, upper):
    """Drop the lower layers' settings of a model, optimizer or schedule that `upper` replaces.

    The momentum of one optimizer means nothing to another: a new choice starts from its own
    defaults.
    """
    kept = dict(lower)
    for section in CHOICES:
        chosen = upper.get(section)
        if (
            isinstance(chosen, dict)
            and chosen.get("name", lower[section]["name"]) != (lower[section]["name"])
        ):
            kept[section] = {}
    return kept


def _check_sections(layer):
    """Refuse a section that is no mapping before layers above it hide the mistake."""
    for key, value in layer.items():
        field = Settings.model_fields.get(key)
        if field and not isinstance(value, dict) and not (value is None and field.default is None):
            raise SettingsError(f"{key}: received {brief(value)}, expected keys such as {key}.…=…")


def build(*layers):
    """Build settings from nested dicts; a later layer wins over an earlier one.

    Raises:
        SettingsError: one line with the key's path, what was received and what was expected.
    """
    values = {key: {"name": getattr(Settings(), key).name} for key in CHOICES}
    for layer in layers:
        _check_sections(layer)
        values = merge(_choose(values, layer), layer)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(one_line(error)) from None


def dump(settings):
    """Return the settings as YAML text that reads back to the same settings."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)
