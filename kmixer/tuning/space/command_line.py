"""The search space as it is typed on the command line."""

from typing import Any

from ...config import loading, yaml_files
from ...errors import SettingsError


def parse_search(texts: list[str]) -> dict[str, Any]:
    """Turn `path=a,b,c`, `path=1..8`, `path=64..256:64` or `path=1e-4..1e-2:log` into a section.

    Raises:
        SettingsError: a text is none of those, or a path comes twice.
    """
    section = {}
    for path, values in loading.parse_lists(texts, "--search").items():
        source = f"--search {path}"
        is_range = ".." in values and not values.startswith(("[", "{"))
        section[path] = _range(values, source) if is_range else _values(values, source)
    return section


def _range(text: str, source: str) -> dict[str, Any]:
    bounds, _, suffix = text.partition(":")
    low, _, high = bounds.partition("..")
    keys = {"min": low, "max": high} | ({} if suffix in ("", "log") else {"step": suffix})
    values = {key: yaml_files.parse_yaml(value, source) for key, value in keys.items()}
    for value in values.values():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SettingsError(
                f"{source}: received {text!r}, expected min..max, min..max:log or min..max:step"
            )
    return values | ({"log": True} if suffix == "log" else {})


def _values(text: str, source: str) -> Any:
    if text.startswith("{"):
        return yaml_files.parse_yaml(text, source)
    return yaml_files.parse_yaml(f"[{text}]", source)
