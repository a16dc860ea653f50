"""Whether what a run to resume names was ever named by the user: its images, and its start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..data.asked import check_asked_data, is_remembered, remember, remember_data
from ..errors import RunError
from .consistency import has_checkpoint
from .starts import packaged

if TYPE_CHECKING:
    from ..config import Settings
    from .run import Run


def remember_asked(settings: Settings) -> None:
    """Remember what the user's own settings name."""
    remember_data(settings.data)
    if settings.finetune:
        remember(_start(settings.finetune.run))


def check_asked(run: Run) -> None:
    """Refuse to go on with a run that names images or a start that the user has never named.

    Its folder may come from anybody; a start would be opened, or fetched from the network. With a
    checkpoint it is neither.

    Raises:
        DataError: its images were never named on this machine.
        RunError: its start was not.
    """
    check_asked_data(run.settings.data, run.folder)
    start = run.settings.finetune and run.settings.finetune.run
    if not start or start in packaged.names() or has_checkpoint(run.folder):
        return
    if not is_remembered(_start(start)):
        raise RunError(
            f"{run.folder}: its config.yaml names the start {start}, which was never named on this"
            " machine, and is not opened unasked; begin anew with: kmixer finetune START DATASET"
        )


def _start(reference: str) -> str:
    return f"the start {reference}"
