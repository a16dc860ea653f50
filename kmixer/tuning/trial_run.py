"""Whether the run in a trial's folder is the one that its search draws.

A search's folder may come from anybody, and one that goes on may have other settings than before.
"""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import loading
from ..errors import KmixerError, KmixerWarning, RunError
from ..files.opened import refuse_links
from ..runs.run import load_run, run_state

if TYPE_CHECKING:
    from ..config import Settings
    from .trials import Trial

# What a training records by where it takes place: paths, devices, the start's own commit.
BY_THE_PLACE = {
    "data.name", "data.dir", "data.batch_size", "data.validation_size", "augment.on",
    "training.jit", "finetune.run",
}  # fmt: skip


def differing(asked: Settings, received: Settings) -> list[str]:
    """Return the paths of settings that a run has otherwise than they were asked for.

    Args:
        asked: the settings that a training is given; what they leave open may be anything.
        received: the settings of its run.
    """
    before, now = (loading.flatten(settings) for settings in (asked, received))
    return [
        path
        for path, value in before.items()
        if path not in BY_THE_PLACE and not _agrees(value, now.get(path))
    ]


def _agrees(asked: Any, received: Any) -> bool:
    """Return whether a value is what was asked for; None asks for nothing, in lists as well."""
    if isinstance(asked, dict) and isinstance(received, dict):
        return all(_agrees(value, received.get(key)) for key, value in asked.items())
    if isinstance(asked, list) and isinstance(received, list):
        return len(asked) == len(received) and all(map(_agrees, asked, received))
    return asked is None or asked == received


def remove_other_run(folder: Path, settings: Settings, root: Path) -> None:
    """Remove the run in the folder of a trial that is to be trained, if it is of other settings.

    Args:
        folder: the trial's.
        settings: that the search draws for it.
        root: the search's folder.
    """
    refuse_links(folder, within=root)
    if run_state(folder) == "new":
        return
    try:
        run = load_run(folder)
    except KmixerError:  # damaged: the trial fails, and says how
        return
    others = differing(settings, run.settings)
    if not others:
        return
    shutil.rmtree(folder)
    now, before = (loading.flatten(each)[others[0]] for each in (settings, run.settings))
    message = (
        f"{folder}: begun with {others[0]} {before!r}, this search draws {now!r}: removed, and"
        " trained anew"
    )
    warnings.warn(message, KmixerWarning, stacklevel=2)


def check_drawn(folder: Path, trial: Trial, asked: Settings, received: Settings) -> None:
    """Refuse the run of a finished trial that has not the values drawn for it.

    Its other settings may be those of before an `--extend`.

    Args:
        folder: the trial's.
        trial: the `Trial`.
        asked: that the search draws for it.
        received: of its run.

    Raises:
        RunError: one of the values differs.
    """
    before, now = (loading.flatten(settings) for settings in (asked, received))
    for path in differing(asked, received):
        if any(path == drawn or path.startswith(f"{drawn}.") for drawn in trial.values):
            raise RunError(
                f"{folder}: its config.yaml has {path} {now.get(path)!r}, the search's record"
                f" {before[path]!r}: one of the two is of another search"
            )
