"""What a fine-tuning starts from, opened before Keras is imported, and said in one line."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from .terminal import Terminal

if TYPE_CHECKING:
    from kmixer.runs.run import Run

START_HELP = (
    "The folder of a run; a start that is shipped, such as cifar10-shift; or published weights:"
    " mixer-b16, a name of timm's, or OWNER/REPO on the Hugging Face Hub."
)


def open_start(name: str | Path, terminal: Terminal) -> "Run":
    """Return the run that a fine-tuning starts from; published weights are fetched.

    Args:
        name: see `kmixer.runs.starts.resolve_start`.
        terminal: says what was found, unless it is a run's folder; quiet, so is the download.
    """
    if terminal.quiet:
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"  # before the Hub's client is imported
    from kmixer.runs.starts import resolve_start
    from kmixer.runs.starts.start import Start

    start = resolve_start(name)
    start.check_model()
    if isinstance(start, Start):
        terminal.say(f"start    {start.reference}: {start.summary}")
    return start
