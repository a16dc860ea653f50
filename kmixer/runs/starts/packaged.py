"""The starts that kmixer ships: folders beside this file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import DataError
from ...files.checksums import checksum
from ...models.weight_names import OURS
from ..run import CONFIG_FILE, load_run
from .start import Start

if TYPE_CHECKING:
    from .names import Reference

FOLDER = Path(__file__).parent
WEIGHTS_FILE = "weights.safetensors"


@cache
def names() -> tuple[str, ...]:
    """Return the names of the starts that are shipped."""
    return tuple(sorted(path.parent.name for path in FOLDER.glob(f"*/{CONFIG_FILE}")))


def open_start(reference: Reference) -> Start:
    """Open a start that is shipped.

    Args:
        reference: its name.

    Raises:
        DataError: it has a revision, which ours have not, or another checksum than asked for.
    """
    if reference.revision:
        raise DataError(f"{reference}: kmixer ships one {reference.name}, without revisions")
    run = load_run(FOLDER / reference.name)
    weights = run.folder / WEIGHTS_FILE
    sha256 = checksum(weights)["sha256"]
    if reference.sha256 not in (None, sha256):
        raise DataError(
            f"{reference.name}: expected weights of SHA-256 {reference.sha256}, but this kmixer"
            f" ships those of {sha256}; install the version that the run's config.yaml names"
        )
    return Start(
        run.folder, run.settings, run.info, reference.name, weights, sha256, OURS,
        run.class_names,
    )  # fmt: skip
