"""YAML 1.2 files of settings, read safely and within bounds."""

import codecs
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from ..errors import SettingsError, file_problem, one_line

# Levels of lists and sections; keys and values together, of which a run's settings have 150.
DEEPEST, MOST_VALUES = 30, 30_000
MOST_BYTES = 750_000
LONGEST_NUMBER = 100  # characters of a whole number
TAG = "tag:yaml.org,2002:"
# The forms of YAML 1.2's core schema (section 10.3.2).
BOOL = r"^(?:true|True|TRUE|false|False|FALSE)$"
INT = r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"
FLOAT = (
    r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$"
    r"|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
)


def _refusal(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core rules: `on` and `1:30` are words, `1e-3` and `010` are decimal numbers.

    Aliases are refused: a few lines of them unfold to billions of values, and no settings need
    them. So are keys that come twice, of which YAML itself would keep the last, merged sections
    (`<<`), whose keys may come twice too, types that settings do not have (`!!set`, dates), and
    files that are larger or nested deeper than any settings.
    """

    def __init__(self, text: str, most_values: int = MOST_VALUES) -> None:
        super().__init__(text)
        self._depth = self._values = 0
        self._most_values = most_values

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            problem = f"received the alias *{event.anchor}, expected the value itself"
            raise _refusal(problem, event.start_mark)
        self._depth, self._values = self._depth + 1, self._values + 1
        if self._values > self._most_values:
            problem = f"expected at most {self._most_values:,} keys and values"
            raise _refusal(problem, event.start_mark)
        if self._depth > DEEPEST and not isinstance(event, yaml.ScalarEvent):
            raise _refusal(f"expected at most {DEEPEST} levels", event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = set()
        for key, _ in node.value:
            if key.tag == f"{TAG}merge":
                raise _refusal("received <<, expected the keys themselves", key.start_mark)
            if not isinstance(key, yaml.ScalarNode):
                raise _refusal("received a section as a key, expected a word", key.start_mark)
            if (value := self.construct_object(key)) in keys:
                problem = f"received the key {key.value!r} twice, expected it once"
                raise _refusal(problem, key.start_mark)
            keys.add(value)
        return super().construct_mapping(node, deep)

    def construct_yaml_bool(self, node: yaml.ScalarNode) -> bool:
        return bool(_matched(BOOL, node).lower() == "true")

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        text = _matched(INT, node)
        if len(text) > LONGEST_NUMBER:  # Python neither reads nor writes one of 5,000 digits
            problem = f"received a number of {len(text):,} characters, expected {LONGEST_NUMBER}"
            raise _refusal(problem, node.start_mark)
        return int(text, 0 if text.startswith(("0x", "0o")) else 10)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        # A number too: `!!float 3`.
        text = node.value if re.match(INT, node.value) else _matched(FLOAT, node)
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


# None of YAML 1.1's rules and types but those that are 1.2's, too.
_Loader.yaml_implicit_resolvers = {}
_Loader.yaml_constructors = {
    key: yaml.SafeLoader.yaml_constructors[key]
    for key in (None, *(f"{TAG}{name}" for name in ("null", "str", "seq", "map")))
}


class _Dumper(yaml.SafeDumper):
    """Writes no aliases, which are not read either."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _matched(rule: str, node: yaml.ScalarNode) -> str:
    """Return the text of a value whose type is written before it, such as `!!int 3`."""
    if not re.match(rule, node.value):
        name = node.tag.removeprefix(TAG)
        raise _refusal(f"received !!{name} {node.value!r}, expected one", node.start_mark)
    return str(node.value)


# (name, its form, the characters that it may begin with); what has none of these forms is a text.
RULES = (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("merge", r"^(?:<<)$", ["<"]),
    ("bool", BOOL, list("tTfF")),
    ("int", INT, list("-+0123456789")),
    ("float", FLOAT, list("-+0123456789.")),
)
for _name, _rule, _first in RULES:
    for _yaml in (_Loader, _Dumper):  # the latter, so that a text such as 1e3 is quoted
        _yaml.add_implicit_resolver(f"{TAG}{_name}", re.compile(_rule), _first)
for _name in ("bool", "int", "float"):
    _Loader.add_constructor(f"{TAG}{_name}", getattr(_Loader, f"construct_yaml_{_name}"))


def to_yaml(values: Mapping[str, Any]) -> str:
    """Return nested dicts as YAML text, in their order."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def parse_yaml(text: str, source: str, times: int = 1) -> Any:
    """Parse YAML safely.

    Args:
        text: the YAML.
        source: where it came from, for the error.
        times: how many times as many keys and values as settings have it may hold.

    Raises:
        SettingsError: the text is not YAML, has an alias or a key twice, or is larger than any
            settings.
    """
    try:
        return _Loader(text, times * MOST_VALUES).get_single_data()
    except yaml.MarkedYAMLError as error:
        raise SettingsError(f"{source}: expected YAML; {_describe(error)}") from None
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:
        # The last three: values that are not what their form says, such as a million digits.
        raise SettingsError(f"{source}: expected YAML; {one_line(error)}") from None


def _describe(error: yaml.MarkedYAMLError) -> str:
    line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
    return f"{line}{one_line(error.problem or error.context)}"


def read_file(path: str | Path, keep_run: bool = False, times: int = 1) -> dict[str, Any]:
    """Return the keys a YAML settings file sets, as nested dicts.

    Args:
        path: the file; a run's own config.yaml is one too.
        keep_run: return its section `run`, which sets nothing, as well.
        times: how many times as large as a file of settings it may be.

    Raises:
        SettingsError: it cannot be read, or is not YAML of settings.
    """
    try:
        with open(path, "rb") as file:
            content = file.read((most := times * MOST_BYTES) + 1)
        if len(content) > most:
            raise SettingsError(f"{path}: larger than {most:,} bytes, which no settings are")
        utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # of PowerShell
        text = content.decode("utf-16" if utf_16 else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {file_problem(error)}") from None
    values = mapping(parse_yaml(text, str(path), times), str(path))
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
