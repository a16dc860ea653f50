"""Settings from YAML, presets and flags, and back: defaults < preset < file < flags."""

import yaml
from pydantic import ValidationError

from ..errors import SettingsError
from . import Settings
from .schema import shorten, validation_message
from .yaml_files import parse_yaml

CHOICES = ("model", "optimizer", "schedule")  # sections whose `name` decides what keys they have


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
            raise SettingsError(f"{key}: received {shorten(value)}, expected keys such as {key}.…=…")


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
        raise SettingsError(validation_message(error)) from None


def dump(settings):
    """Return the settings as YAML text that reads back to the same settings."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)
