"""One process at a time prepares a data set; the others wait for it."""

import logging
import math
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ..files.lock import folder_lock

LOGGER = logging.getLogger(__name__)


def preparation_lock(name: str, folder: str | Path) -> AbstractContextManager[Any]:
    """Hold the lock of a data set's preparation; wait while another process holds it.

    A wait is logged as a warning, which Python prints on stderr unless logging is configured.

    Args:
        name: of the data set, such as `mnist/3.0.1`.
        folder: where prepared data sets lie.

    Raises:
        KmixerError: nothing can be written in the folder.
    """

    def log_wait(holder: str) -> None:
        LOGGER.warning("%s: waiting for %s, which prepares it", name, holder)

    return folder_lock(folder, math.inf, f".{name.replace('/', '-')}.lock", log_wait)
