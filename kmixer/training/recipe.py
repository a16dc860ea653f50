"""Which preset and which start a training gets where the user names none; imports no Keras."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..config.model import ShiftMlpSettings
from ..data import find_source
from ..data.sources import LoadOptions
from ..data.sources.image_folder.survey import survey

if TYPE_CHECKING:
    from ..data.progress import Progress

START = "cifar10-shift"  # is shipped
MOST_IMAGES = 10_000  # from which on a training from scratch learns as much in the same minutes


@dataclass(frozen=True)
class Recipe:
    """A preset and a start.

    Attributes:
        preset: its name; None: the data set's own, if it has one.
        start: what `kmixer.runs.starts.resolve_start` takes, or None.
        reason: why, for people; None where the user named both.
    """

    preset: str | None
    start: str | None = None
    reason: str | None = None


def named_recipe(preset: str | None, start: str | None) -> Recipe:
    """Return the recipe of a preset that is named; `photos` has a start of its own."""
    return Recipe(preset, start or (START if preset == "photos" else None))


def choose_recipe(
    name: str, start: str | None, changed: Collection[str], progress: Progress | None = None
) -> Recipe:
    """Choose for a data set for which neither a preset nor a file of settings is named.

    Args:
        name: of the data set.
        start: what the user wants to start from, or None.
        changed: the paths of the settings that the user gives, such as `model.blocks`.
        progress: called with (done, total) while a folder is looked at.

    Raises:
        KmixerError: there is no such data set, or it cannot be read.
    """
    if not find_source(name).is_path:
        return Recipe("finetune", start) if start else Recipe(None)
    if start:
        return Recipe("photos", start)
    return _folder_recipe(name, changed, progress)


def _folder_recipe(name: str, changed: Collection[str], progress: Progress | None) -> Recipe:
    if recipe := _recipe_of_a_model(changed):
        return recipe
    found = survey(name, LoadOptions(progress=progress))
    return recipe_of_images(found.images, found.gray)


def recipe_of_images(images: int, gray: bool, changed: Collection[str] = ()) -> Recipe:
    """Choose by the images: from scratch where the start's model or its images do not fit.

    Args:
        images: how many there are to train on.
        gray: whether all are.
        changed: see `choose_recipe`.
    """
    if recipe := _recipe_of_a_model(changed):
        return recipe
    if gray or images > MOST_IMAGES:
        reason = "gray images" if gray else f"{images:,} images: enough to learn from"
        return Recipe("photos-scratch", reason=reason)
    return Recipe("photos", START, f"{images:,} color images are few: from {START}")


def _recipe_of_a_model(changed: Collection[str]) -> Recipe | None:
    """Choose by the settings of a model that are given; None: there are none."""
    model = sorted(path for path in changed if path.partition(".")[0] == "model")
    of_the_start = {f"model.{key}" for key in ShiftMlpSettings.model_fields}
    if not of_the_start.issuperset(model):
        return Recipe("photos-mixer", reason=f"{', '.join(model)}: settings of the Mixer")
    if model:
        return Recipe("photos-scratch", reason=f"{', '.join(model)}: not the start's model")
    return None
