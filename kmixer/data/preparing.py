"""One process at a time prepares a data set; the others wait for it."""

import math
import sys

from ..files.lock import only_one


def alone(name, folder):
    """Hold the lock of a data set's preparation; wait for it as long as another process holds it.

    Args:
        name: of the data set, such as `mnist/3.0.1`.
        folder: where prepared data sets lie.

    Raises:
        KmixerError: nothing can be written in the folder.
    """

    def waiting(holder):
        print(f"{name}: waiting for {holder}, which prepares it", file=sys.stderr)

    return only_one(folder, math.inf, f".{name.replace('/', '-')}.lock", waiting)
