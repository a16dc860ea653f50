"""The shipped presets."""

from importlib import resources
from typing import Any

from ..errors import SettingsError, nearest
from .yaml_files import mapping, parse_yaml

# Of image folders for which none is named.
FOLDER_PRESETS = ("photos", "photos-scratch", "photos-mixer")


def preset_names() -> list[str]:
    """Return the names of the shipped presets."""
    files = resources.files("kmixer_configs").iterdir()
    return sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml"))


def preset_text(name: str) -> str:
    """Return a shipped preset's YAML text, its heading comment included.

    Raises:
        SettingsError: there is no preset of that name; the nearest are named.
    """
    if name not in preset_names():
        raise SettingsError(
            f"preset: received {name!r}, no such preset{nearest(name, preset_names())}"
        )
    return resources.files("kmixer_configs").joinpath(f"{name}.yaml").read_text(encoding="utf-8")


def preset_heading(name: str) -> str:
    """Return the first line of a preset's heading comment."""
    return preset_text(name).splitlines()[0].lstrip("# ")


def read_preset(name: str) -> dict[str, Any]:
    """Return the keys a shipped preset sets, as nested dicts."""
    return mapping(parse_yaml(preset_text(name), f"preset {name}"), f"preset {name}")
