"""YAML 1.2 files of settings, read safely and within bounds."""

import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from ..errors import SettingsError, one_line
from ..files.text import read_text

DEEPEST, MOST_VALUES = 30, 100_000  # of what is read as settings


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core rules: `on` and `no` are words, `1e-3` is a number.

    Aliases are refused: a few lines of them unfold to billions of values, and no settings need
    them. So are keys that come twice, of which YAML itself would keep the last.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.MarkedYAMLError(
                problem=f"received the alias *{event.anchor}, expected the value itself",
                problem_mark=event.start_mark,
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in keys:
                raise yaml.MarkedYAMLError(
                    problem=f"received the key {key.value!r} twice, expected it once",
                    problem_mark=key.start_mark,
                )
            keys.add(str(key.value))
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if not tag.endswith((":bool", ":float"))]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


class _Dumper(yaml.SafeDumper):
    """Writes no aliases, which are not read either."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _yaml in (_Loader, _Dumper):  # the latter, so that a text such as 1e3 is quoted
    _yaml.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(
            r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$"
            r"|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
        ),
        list("-+0123456789."),
    )


def to_yaml(values: Mapping[str, Any]) -> str:
    """Return nested dicts as YAML text, in their order."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def parse_yaml(text: str, source: str) -> Any:
    """Parse YAML safely.

    Args:
        text: the YAML.
        source: where it came from, for the error.

    Raises:
        SettingsError: the text is not YAML, has an alias or a key twice, or is larger than any
            settings.
    """
    try:
        values = yaml.load(text, Loader=_Loader)
        _check_size(values)
    except RecursionError:
        raise SettingsError(f"{source}: expected YAML of settings, received nested lists") from None
    except yaml.MarkedYAMLError as error:
        raise SettingsError(f"{source}: expected YAML; {_describe(error)}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsError(f"{source}: expected YAML; {one_line(error)}") from None
    return values


def _describe(error: yaml.MarkedYAMLError) -> str:
    line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
    return f"{line}{one_line(error.problem or error.context)}"


def _check_size(values: Any) -> None:
    """Refuse what is nested deeper, or holds more values, than any settings."""
    depth, count = _size(values)
    if depth > DEEPEST or count > MOST_VALUES:
        raise ValueError(
            f"received {count:,} values, {depth} levels deep, expected at most {MOST_VALUES:,} and"
            f" {DEEPEST} levels"
        )


def _size(value: Any) -> tuple[int, int]:
    """Return (levels, values) of nested dicts and lists."""
    if not isinstance(value, dict | list):
        return 0, 1
    sizes = [_size(item) for item in (value.values() if isinstance(value, dict) else value)]
    depths, counts = zip((0, 0), *sizes, strict=True)
    return 1 + max(depths), 1 + sum(counts)


def read_file(path: str | Path, keep_run: bool = False) -> dict[str, Any]:
    """Return the keys a YAML settings file sets, as nested dicts.

    Args:
        path: the file; a run's own config.yaml is one too.
        keep_run: return its section `run`, which sets nothing, as well.

    Raises:
        SettingsError: it cannot be read, or is not YAML of settings.
    """
    values = mapping(parse_yaml(read_text(path, SettingsError), str(path)), str(path))
    if not keep_run:
        values.pop("run", None)
    return values


def mapping(values: Any, source: str) -> dict[str, Any]:
    """Return parsed YAML as a dict; that of an empty file is empty.

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
