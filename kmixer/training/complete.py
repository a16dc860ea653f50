"""Fill in all that settings leave open before a model is trained, and say what was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .choices import choose_open, patches_line
from .distribution import SINGLE_DEVICE, Devices
from .fastest_batch_size import choose_batch_size
from .fastest_precision import choose_precision
from .resolve import resolve

if TYPE_CHECKING:
    from ..config import Settings
    from ..data import Dataset


def complete(
    settings: Settings, dataset: Dataset, devices: Devices = SINGLE_DEVICE
) -> tuple[Settings, list[str]]:
    """Fill in what settings leave open, some of it measured on this machine.

    Args:
        settings: `Settings`.
        dataset: their `Dataset`, with a validation split.
        devices: that the training is distributed over.

    Returns:
        (resolved settings that leave nothing open, a line for each choice).

    Raises:
        SettingsError: the settings do not fit the images or the devices.
    """
    patch_size_is_open = settings.model.patch_size_is_open
    settings, measured = choose_batch_size(settings, dataset)
    settings, chosen = choose_open(settings, dataset)
    settings = resolve(settings, dataset, devices)
    patches = [patches_line(settings, dataset)] if patch_size_is_open else []
    settings, precision = choose_precision(settings, dataset)
    return settings, [*measured, *chosen, *patches, *precision]
