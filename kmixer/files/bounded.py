"""Reading files that may be of any size."""

import errno
from pathlib import Path

from .regular import check_regular


def read_bounded(path: str | Path, most: int) -> bytes:
    """Return the content of a file.

    Args:
        path: the file.
        most: bytes that it may have.

    Raises:
        OSError: it is larger, is no regular file, or cannot be read.
    """
    check_regular(path)
    with open(path, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"larger than {most:,} bytes", str(path))
    return content
