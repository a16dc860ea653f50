"""A checksum over a whole zip archive, kept as its comment: no byte of it can change unnoticed.

The archive's own checksums are over the content of its members, not over what stands between them.
"""

import os
import zipfile
from hashlib import sha256
from pathlib import Path

DIGITS = 64  # of a SHA-256, as hex
BLOCK = 2**20


def seal(path: Path) -> None:
    """Write the SHA-256 of an archive into its comment."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"0" * DIGITS
    digest = _digest(path)
    with path.open("r+b") as file:
        file.seek(-DIGITS, os.SEEK_END)
        file.write(digest)


def is_sealed(path: Path) -> bool:
    """Return whether an archive holds a checksum and is as it was when that was written."""
    if path.stat().st_size < DIGITS:
        return False
    with path.open("rb") as file:
        file.seek(-DIGITS, os.SEEK_END)
        return file.read() == _digest(path)


def _digest(path: Path) -> bytes:
    """Return the SHA-256 of all but the last `DIGITS` bytes, as hex."""
    digest, left = sha256(), path.stat().st_size - DIGITS
    with path.open("rb") as file:
        while left > 0 and (block := file.read(min(BLOCK, left))):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest().encode()
