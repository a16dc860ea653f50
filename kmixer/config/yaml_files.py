"""YAML 1.2 files of settings, read safely and within bounds."""

import re
from pathlib import Path

import yaml

from ..errors import SettingsError

DEEPEST, MOST_VALUES = 30, 100_000  # of what is read as settings


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
    values = mapping(parse_yaml(text, str(path)), str(path))
    if not keep_run:
        values.pop("run", None)
    return values


def mapping(values, source):
    """Return parsed YAML as a dict; nothing at all is an empty one.

    Raises:
        SettingsError: it is a list or a single value.
    """
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(
            f"{source}: received a {type(values).__name__}, expected sections such as 'model:'"
        )
    return values
