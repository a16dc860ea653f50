"""The keys of what is kept: digests of all that decides the result of reading image files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from hashlib import sha256
from importlib import metadata
from pathlib import Path

from PIL import features

from ..decode import Decoding, ImageFacts

PACKAGES = ("kmixer", "numpy", "pillow", "pillow-heif")  # whose version may change what is read
LIBRARIES = ("jpg", "zlib", "libtiff", "webp")


def pixels_key(root: Path, paths: Iterable[str | Path], decoding: Decoding) -> str:
    """Return the key of the decoded pixels of these files, in this order."""
    return _key(root, paths, repr(decoding))


def facts_key(root: Path, paths: Iterable[str | Path]) -> str:
    """Return the key of what these files say about themselves, in this order."""
    return _key(root, paths, repr(ImageFacts._fields))


def _key(root: Path, paths: Iterable[str | Path], what: str) -> str:
    digest = sha256(json.dumps([what, str(root.resolve()), _reader()]).encode())
    for path in paths:
        name = str(path).removeprefix(str(root)).lstrip(os.sep)  # however the folder is named
        try:
            stat = os.stat(path)
            # The inode tells a link that leads elsewhere now: many files have the same times.
            stamp = f"{stat.st_ino} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"
        except OSError:
            stamp = "missing"
        digest.update(os.fsencode(f"{name}\0{stamp}\0"))
    return digest.hexdigest()[:40]


def _reader() -> list[str]:
    """Return what decodes: the versions of the libraries, and the code of kmixer's data."""
    versions = [f"{name} {_version(name)}" for name in PACKAGES]
    versions += [f"{name} {features.version(name)}" for name in LIBRARIES]
    code = sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        code.update(path.read_bytes())
    return [*versions, code.hexdigest()]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
