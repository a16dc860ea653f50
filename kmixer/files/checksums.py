"""SHA-256 of files and folders."""

from hashlib import file_digest
from pathlib import Path
from typing import TypedDict

from .regular import check_regular


class Checksum(TypedDict):
    """A file's size and SHA-256."""

    bytes: int
    sha256: str


def checksum(path: Path) -> Checksum:
    """Return a file's size in bytes and its SHA-256."""
    check_regular(path)
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def checksums(folder: str | Path) -> dict[str, Checksum]:
    """Return the `checksum` of each file below a folder, by its path relative to the folder."""
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): checksum(path) for path in paths}
