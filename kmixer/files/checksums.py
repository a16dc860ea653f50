"""SHA-256 of files and folders."""

from hashlib import file_digest
from pathlib import Path


def checksum(path):
    """Return a file's bytes and SHA-256 as a manifest holds them."""
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def checksums(folder):
    """Return the `checksum` of each file below a folder, by its path there."""
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): checksum(path) for path in paths}
