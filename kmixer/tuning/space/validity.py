"""Checks of a whole search space before anything is trained; they import no Keras."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

from ...errors import KmixerError, SettingsError
from .parameter import combinations

if TYPE_CHECKING:
    from ...config import Settings
    from .parameter import Searched
    from .space import Space

TRIES = 30  # random points with a value before it is called impossible
MOST_COMBINATIONS = 5_000  # of values that decide the fit
MOST_SECONDS = 5.0  # for all of them: images of another size have to be read, for instance

# What most often decides whether a model and its batches fit the images; a new optimizer's name
# drops the other settings of the optimizer.
FIT_PATHS = {
    "data",
    "data.batch_size",
    "data.crop_size",
    "data.image_size",
    "data.resize_size",
    "model",
    "model.name",
    "model.patch_size",
    "model.patch_stride",
    "model.stages",
    "training",
    "training.steps_per_execution",
    "optimizer",
    "optimizer.name",
    "optimizer.gradient_accumulation_steps",
}


def check_values(space: Space, base: Settings) -> None:
    """Refuse a space in which a value of a choice, or an end of a range, is in no valid point.

    Args:
        space: the `Space`.
        base: the `Settings` that its points change.

    Raises:
        SettingsError: the error of the last point that was tried with such a value.
    """
    generator = random.Random(0)
    for searched in space.searched:
        parameter = searched.parameter
        for value in parameter.listed or [parameter.min, parameter.max]:
            fixed = {searched.name: value, **_needed_values(space, searched)}
            reason = _why_impossible(space, base, generator, fixed)
            if reason:
                raise SettingsError(f"search: no valid point has {searched.path}={value}: {reason}")


def check_some_point_fits(
    space: Space, base: Settings, check_fit: Callable[[Settings], None]
) -> None:
    """Refuse a space whose every point fails the settings' validation or `check_fit`.

    All combinations of the values that decide the fit are tried, each with `TRIES` draws of the
    others. Of a range without end, of more combinations than `MOST_COMBINATIONS`, or if they take
    longer than `MOST_SECONDS`, nothing is said: the search meets the points that do not fit later.

    Args:
        space: the `Space`.
        base: the `Settings` that its points change.
        check_fit: raises a `KmixerError` for settings that do not fit the images.

    Raises:
        SettingsError: no point fits; the reason of the last one.
    """
    deciding = _deciding(space)
    if any(searched.parameter.points is None for searched in deciding):
        return
    generator, reason = random.Random(0), None
    points, deadline = combinations(deciding), time.monotonic() + MOST_SECONDS
    for values in islice(points, MOST_COMBINATIONS):
        fixed = {s.name: values[s.path] for s in deciding if s.active(values)}
        reason = _why_impossible(space, base, generator, fixed, check_fit)
        if reason is None or time.monotonic() > deadline:
            return
    if next(points, None) is None:
        raise SettingsError(f"search: no point of the space can be trained: {reason}")


def _why_impossible(
    space: Space,
    base: Settings,
    generator: random.Random,
    fixed: dict[str, Any],
    check_fit: Callable[[Settings], None] = lambda settings: None,
) -> KmixerError | None:
    """Return why no point with the fixed values is possible, or None if one is."""
    reason: KmixerError | None = None
    for _ in range(TRIES if len(fixed) < len(space.searched) else 1):
        try:
            check_fit(space.settings(base, space.random(generator, fixed)))
            return None
        except KmixerError as error:
            reason = error
    return reason


def _needed_values(space: Space, searched: Searched) -> dict[str, Any]:
    """Return values, by name, under which a setting's conditions hold."""
    names = {other.path: other.name for other in space.searched}
    return {names[path]: wanted[0] for path, wanted in searched.parameter.when.items()}


def _deciding(space: Space) -> list[Searched]:
    """Return the settings that decide the fit, and those that their conditions name, in order."""
    paths = {searched.path for searched in space.searched} & FIT_PATHS
    for searched in reversed(space.searched):  # a condition's setting comes before what it decides
        if searched.path in paths:
            paths |= searched.parameter.when.keys()
    return [searched for searched in space.searched if searched.path in paths]
