"""Reading never waits: what is no regular file is refused before it is opened.

Opening a named pipe waits until somebody writes into it, which may be never; a device such as
`/dev/zero` has no end.
"""

import errno
import os
import stat
from pathlib import Path

# A process's own streams, as `<(command)` of a shell gives them: their user meant them.
_STREAMS = ("/dev/fd", "/proc/self/fd")
_KINDS = (
    (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
)  # fmt: skip


def check_regular(path: str | Path) -> None:
    """Refuse to read what is no regular file; links are followed.

    Args:
        path: of the file. A stream of this process, such as `/dev/stdin`, is read.

    Raises:
        OSError: it is a named pipe, a socket, a device or a folder, or is not there.
    """
    mode = os.stat(path).st_mode
    if stat.S_ISREG(mode) or _is_own_stream(str(path)):
        return
    kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "no regular file")
    number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
    raise OSError(number, f"it is {kind}, expected a file", str(path))


def _is_own_stream(path: str) -> bool:
    return path == "/dev/stdin" or os.path.dirname(path) in _STREAMS
