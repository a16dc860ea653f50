"""How much memory the machine, or the container that this process runs in, has."""

import os
from collections.abc import Iterator
from pathlib import Path

LARGE = 10**9  # bytes of pixels that are not kept in memory, whatever there is of it
LARGE_SHARE = 0.25  # of the memory
GROUPS = Path("/sys/fs/cgroup")  # Linux; both of its versions
LIMITS = ("memory.max", "memory/memory.limit_in_bytes", "memory.limit_in_bytes")


def is_large(size: int) -> bool:
    """Say whether pixels of `size` bytes are read from a file instead of kept in memory."""
    return size > min([LARGE, *(LARGE_SHARE * limit for limit in _limits())])


def memory_limit() -> int | None:
    """Return the bytes of memory that this process may use; None: the system does not say."""
    return min(_limits(), default=None)


def _limits() -> Iterator[int]:
    """Yield the machine's memory in bytes and what the process's groups may use of it."""
    try:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return
    for folder in _group_folders():
        for name in LIMITS:
            try:
                yield int((folder / name).read_text())
            except (OSError, ValueError):  # not of this version, or "max"
                continue


def _group_folders() -> set[Path]:
    """Return the folders of the process's control groups and of those that they are in."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return set()
    folders = {GROUPS}
    for number, controllers, path in (line.split(":", 2) for line in lines):
        if number == "0" or "memory" in controllers.split(","):
            group = GROUPS / controllers / path.lstrip("/")
            folders |= {group, *(parent for parent in group.parents if GROUPS in parent.parents)}
    return folders
