"""The files of an export, read whole into memory and held against its manifest.

A model is opened from what was read, never from the file itself: whatever happens to the file
later, the answers are those of the bytes whose checksum was taken.
"""

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path, PurePosixPath

from ..errors import RunError, file_problem
from ..files.checksums import Checksum
from ..files.signature import SIGNATURE_FILE

Contents = Mapping[str, bytes]  # by the file's path in the export folder, with "/" between folders

MOST_BYTES = 2**31  # of all files together; TFLite's own limit for one
# What people put beside a model and no runtime opens.
NOTES = {".txt", ".md", ".json", ".csv", ".html", ".pdf", ".png", ".jpg", ".svg"}
LEFT_BY_SYSTEMS = {"Thumbs.db", "desktop.ini"}


def read_folder(folder: Path) -> dict[str, bytes]:
    """Return the content of each file below a folder that this machine has just written."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def read_listed(folder: Path, listed: Mapping[str, Checksum]) -> dict[str, bytes]:
    """Return the content of the files that a manifest lists, each held against its checksum.

    Raises:
        RunError: a file is missing, a link, no plain file or not the one that was listed.
    """
    if sum(file["bytes"] for file in listed.values()) > MOST_BYTES:
        raise RunError(f"{folder}: its files are larger than {MOST_BYTES:,} bytes together")
    return {name: _read(folder, name, expected) for name, expected in listed.items()}


def beginning(path: Path) -> bytes:
    """Return the first megabyte of a file."""
    try:
        with open(path, "rb", opener=_open_plainly) as file:
            return file.read(2**20)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {file_problem(error)}") from None


def unlisted_files(folder: Path, listed: Iterable[str], notes: bool = False) -> Iterator[str]:
    """Yield the paths in an export folder that its manifest does not list, but for its signature.

    Args:
        folder: the export folder.
        listed: the paths in its manifest.
        notes: yield those of `NOTES` as well.
    """
    known = {*listed, "manifest.json", SIGNATURE_FILE}
    waiting = [folder]
    while waiting:
        for entry in sorted(os.scandir(waiting.pop()), key=lambda entry: entry.name):
            path = Path(entry.path)
            name = path.relative_to(folder).as_posix()
            if entry.name.startswith(".") or entry.name in LEFT_BY_SYSTEMS:
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            elif name not in known and (notes or not _is_note(entry, name)):
                yield name


def is_inside(name: str) -> bool:
    """Whether a manifest's path is a plain one that stays inside of its folder."""
    path = PurePosixPath(name)
    return (
        name == path.as_posix()
        and not path.is_absolute()
        and ".." not in path.parts
        and name.isprintable()
        and not set(name) & {"\\", ":"}  # of Windows' paths
    )


def _is_note(entry: "os.DirEntry[str]", name: str) -> bool:
    is_file = entry.is_file(follow_symlinks=False)
    return is_file and "/" not in name and Path(name).suffix.lower() in NOTES


def read_plainly(folder: Path, name: str, most: int = MOST_BYTES) -> bytes:
    """Return the content of a file in a folder, up to one byte more than it may have.

    Args:
        folder: which may be reached by a link.
        name: of a file below it, which may not.
        most: bytes that it may have.

    Raises:
        RunError: it is missing, a link or no plain file.
    """
    path = folder / name
    _refuse_links(folder, name)
    try:
        with open(path, "rb", opener=_open_plainly) as file:
            # of one that is larger no more is read, though it may be growing
            return file.read(most + 1)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {file_problem(error)}") from None


def _read(folder: Path, name: str, expected: Checksum) -> bytes:
    content = read_plainly(folder, name, expected["bytes"])
    path = folder / name
    if len(content) != expected["bytes"]:
        raise RunError(f"{path}: damaged or changed: its length is not the manifest's")
    if sha256(content).hexdigest() != expected["sha256"]:
        raise RunError(f"{path}: damaged or changed: its SHA-256 is not the manifest's")
    return content


def _open_plainly(path: str, flags: int) -> int:
    """Open a file, but not what a link leads to; a named pipe does not wait for its writer."""
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no plain file")
    return descriptor


def _refuse_links(folder: Path, name: str) -> None:
    """Refuse a link at any place below the folder; the folder itself may be reached by one."""
    path = folder
    for part in PurePosixPath(name).parts:
        path = path / part
        if path.is_symlink():
            raise RunError(f"{path}: a link, expected the file itself: copy it in its place")
