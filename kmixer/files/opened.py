"""A folder that is opened once: what is written into it goes there and nowhere else.

A folder that somebody else has filled may hold links that lead out of it, and a process beside this
one may exchange a folder for a link at any moment. Where the system has it, all is done relative to
the opened folder, and no link below the trusted one is followed.
"""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import RunError

NO_LINK = getattr(os, "O_NOFOLLOW", 0)
NEVER_WAIT = getattr(os, "O_NONBLOCK", 0)  # for a named pipe's other end
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_RELATIVE = {os.open, os.mkdir, os.rename, os.unlink, os.stat} <= os.supports_dir_fd
_LINKS = "is a link; remove it, or name another place with --out"


def hidden_name(name: str, kind: str) -> str:
    """Return a name that nobody can guess, for what is to become `name`: `.<name>.<hex>.<kind>`."""
    return f".{name[:40]}.{secrets.token_hex(8)}.{kind}"


@dataclass(frozen=True)
class OpenFolder:
    """An opened folder; names are those of what lies directly in it.

    Attributes:
        path: its path.
        descriptor: of the opened folder; None where the system has no relative names (Windows).
    """

    path: Path
    descriptor: int | None

    def _at(self, name: str) -> Path | str:
        return self.path / name if self.descriptor is None else name

    def open(self, name: str, flags: int) -> int:
        """Open a file or folder that is no link, and return its descriptor."""
        flags |= NO_LINK | getattr(os, "O_BINARY", 0)
        return os.open(self._at(name), flags, 0o666, dir_fd=self.descriptor)

    def reach(self, name: str) -> Path:
        """Return a path for those who take no descriptor.

        Where the system has one, it leads through the opened folder: whoever exchanges the folder
        for a link meanwhile does not turn it elsewhere.
        """
        through = Path(f"/proc/self/fd/{self.descriptor}")
        return (through if through.is_dir() else self.path) / name

    def create(self, name: str) -> int:
        """Make a file that is not there yet, and return its descriptor."""
        return self.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)

    def make_folder(self, name: str) -> None:
        """Make a folder that is not there yet."""
        os.mkdir(self._at(name), dir_fd=self.descriptor)

    def status(self, name: str) -> os.stat_result | None:
        """Return what the system says of a name, without following a link; None: nothing there."""
        try:
            return os.stat(self._at(name), dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def rename(self, name: str, new: str) -> None:
        """Rename a file or folder; a file that has the new name is replaced."""
        here = self.descriptor
        os.replace(self._at(name), self._at(new), src_dir_fd=here, dst_dir_fd=here)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there and can be removed."""
        with suppress(OSError):
            os.unlink(self._at(name), dir_fd=self.descriptor)

    def sync(self) -> None:
        """Flush the list of names to the disk; Windows cannot, there the rename has to do."""
        if self.descriptor is not None:
            os.fsync(self.descriptor)


@contextmanager
def opened(
    path: str | Path, within: str | Path | None = None, make: bool = False
) -> Iterator[OpenFolder]:
    """Open a folder.

    Args:
        path: of the folder.
        within: a folder above it, or itself, which may be reached through links; below that, links
            are refused. None: links are followed.
        make: whether folders that are missing are made.

    Raises:
        RunError: a link is on the way.
        OSError: it cannot be opened or made.
    """
    path = Path(path)
    if within is not None:
        refuse_links(path, within)
    top, below = (path, ()) if within is None else (Path(within), path.relative_to(within).parts)
    if make:
        (path if not _RELATIVE else top).mkdir(parents=True, exist_ok=True)
    if not _RELATIVE:
        yield OpenFolder(path, None)
        return
    descriptor = os.open(top, _FOLDER)
    try:
        for name in below:
            outer, descriptor = descriptor, _open_inside(OpenFolder(top, descriptor), name, make)
            os.close(outer)
        yield OpenFolder(path, descriptor)
    finally:
        os.close(descriptor)


def _open_inside(folder: OpenFolder, name: str, make: bool) -> int:
    if make:
        with suppress(FileExistsError):
            folder.make_folder(name)
    return folder.open(name, _FOLDER)


def refuse_links(path: str | Path, within: str | Path) -> None:
    """Refuse a path that a link lies on, below the folder `within`.

    Raises:
        RunError: naming the link.
    """
    reached = Path(within)
    for name in Path(path).relative_to(within).parts:
        reached /= name
        if reached.is_symlink() or _is_junction(reached):
            raise RunError(f"{reached}: {_LINKS}")


def refuse_links_below(folder: str | Path, within: str | Path) -> None:
    """Refuse a folder in which another program will write, if anything in it leads outside.

    Args:
        folder: which need not be there.
        within: a folder above it, which may be reached through links.

    Raises:
        RunError: naming the link, or the file that has other names too.
    """
    refuse_links(folder, within)
    for path in sorted(Path(folder).rglob("*")):
        refuse_links(path, within)
        if path.is_file() and not is_plain_file(path.lstat()):
            raise RunError(f"{path}: {_LINKS}")


def _is_junction(path: Path) -> bool:
    """Return whether it is what Windows has besides links."""
    try:
        attributes = getattr(os.lstat(path), "st_reparse_tag", 0)
    except OSError:
        return False
    return bool(attributes == getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", -1))


def is_plain_file(status: os.stat_result) -> bool:
    """Return whether it is a regular file that has no other name elsewhere (a hard link)."""
    return stat.S_ISREG(status.st_mode) and status.st_nlink <= 1


@contextmanager
def appending(path: str | Path, within: str | Path | None = None) -> Iterator[int]:
    """Yield the descriptor of a file that is read and appended to; it is made if need be.

    Args:
        path: of the file.
        within: see `opened`.

    Raises:
        RunError: it is a link, has another name elsewhere, or is no regular file.
        OSError: it cannot be opened.
    """
    path = Path(path)
    check_own_file(path)
    with opened(path.parent, within) as folder:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | NEVER_WAIT
        descriptor = folder.open(path.name, flags)
        try:
            if not is_plain_file(os.fstat(descriptor)):
                raise _not_plain(path)
            yield descriptor
        finally:
            os.close(descriptor)


def check_own_file(path: str | Path) -> None:
    """Refuse to write into what is there, unless it is a regular file with this name alone.

    Raises:
        RunError: it is something else.
    """
    try:
        status = os.lstat(path)
    except OSError:
        return
    if not is_plain_file(status):
        raise _not_plain(path)


def _not_plain(path: str | Path) -> RunError:
    return RunError(
        f"{path}: is a link, or no regular file; nothing is written through it: remove it"
    )
