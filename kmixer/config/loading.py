"""Settings from YAML, presets and flags, and back: defaults < preset < file < flags."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from ..errors import SettingsError
from . import Settings
from .schema import shorten, validation_message
from .yaml_files import DEEPEST, parse_yaml, to_yaml

CHOICES = ("model", "optimizer", "schedule")  # sections whose `name` decides what keys they have


def parse_assignment(text: str) -> dict[str, Any]:
    """Turn `path.to.key=value` into nested dicts; the value is read as YAML."""
    path, equals, value = text.partition("=")
    if not equals or not _is_path(path):
        raise SettingsError(f"--set: received {text!r:.200}, expected path.to.key=value")
    return nest_yaml(path.strip(), value)


def parse_lists(texts: Iterable[str], option: str) -> dict[str, str]:
    """Turn `path.to.key=values` texts into a dict of the values' texts by path.

    Args:
        texts: as the option was given.
        option: its name, for the error.

    Raises:
        SettingsError: a text is no such assignment, or a path comes twice.
    """
    assignments: dict[str, str] = {}
    for text in texts:
        path, _, values = (part.strip() for part in text.partition("="))
        if not _is_path(path) or not values:
            raise SettingsError(f"{option}: received {text!r}, expected path.to.key=value,value,…")
        if path in assignments:
            raise SettingsError(f"{option}: received {path} twice, expected all its values in one")
        assignments[path] = values
    return assignments


def _is_path(text: str) -> bool:
    keys = text.split(".")
    return len(keys) <= DEEPEST and all(key.strip() for key in keys)


def nest_yaml(path: str, value: Any) -> dict[str, Any]:
    """Return `{"a": {"b": value}}` for the path `a.b`; a text is read as YAML first."""
    return nest(path, parse_yaml(value, path) if isinstance(value, str) else value)


def nest(path: str, value: Any) -> dict[str, Any]:
    """Return `{"a": {"b": value}}` for the path `a.b`."""
    first, *rest = path.split(".")
    for key in reversed(rest):
        value = {key: value}
    return {first: value}


def flatten(settings: Settings) -> dict[str, Any]:
    """Return the values of all settings by their paths, such as `model.blocks`."""
    return _flatten(settings.model_dump(mode="json"))


def _flatten(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        path = f"{above}.{key}" if above else key
        flat |= _flatten(value, path) if isinstance(value, dict) else {path: value}
    return flat


def merge(lower: Any, upper: Any) -> Any:
    """Lay the nested dicts `upper` over `lower`."""
    if not isinstance(lower, dict) or not isinstance(upper, dict):
        return upper
    return lower | {key: merge(lower.get(key), value) for key, value in upper.items()}


def build_settings(*layers: Mapping[str, Any]) -> Settings:
    """Build settings from nested dicts; a later layer wins over an earlier one.

    Raises:
        SettingsError: one line with the key's path, what was received and what was expected.

    Example:
        >>> import kmixer
        >>> settings = kmixer.build_settings({"model": {"blocks": 2}}, {"training": {"epochs": 5}})
        >>> settings.model.blocks, settings.training.epochs, settings.optimizer.name
        (2, 5, 'adam')
    """
    values: dict[str, Any] = {key: {"name": getattr(Settings(), key).name} for key in CHOICES}
    for layer in layers:
        _check_sections(layer)
        values = merge(_drop_replaced(values, layer), layer)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(validation_message(error)) from None


def _check_sections(layer: Mapping[str, Any]) -> None:
    """Refuse a section that is no mapping before layers above it hide the mistake."""
    if not isinstance(layer, Mapping):
        raise SettingsError(
            f"settings: received {shorten(layer)}, expected nested dicts such as"
            ' {"data": {"name": "./photos"}}'
        )
    for key, value in layer.items():
        field = Settings.model_fields.get(key)
        switched_off = value is None and field is not None and field.default is None
        if field and not isinstance(value, dict) and not switched_off:
            raise SettingsError(
                f"{key}: received {shorten(value)}, expected keys such as {key}.…=…"
            )


def _drop_replaced(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Drop the lower layers' settings of a model, optimizer or schedule that `upper` replaces.

    The momentum of one optimizer means nothing to another: a new choice starts from its own
    defaults.
    """
    remaining = dict(lower)
    for section in CHOICES:
        current, choice = lower[section]["name"], upper.get(section)
        if isinstance(choice, dict) and choice.get("name", current) != current:
            remaining[section] = {}
    return remaining


def dump(settings: Settings) -> str:
    """Return the settings as YAML text that reads back to the same settings."""
    return to_yaml(settings.model_dump(mode="json"))
