"""The folder of the cache: where it lies, what is in it, and how it stays small."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import DataError, RunError, SettingsError
from ...files import atomic
from .entry import Entry, EntryWriter

FOLDER, SIZE = "KMIXER_CACHE", "KMIXER_CACHE_SIZE"  # variables of the environment
DEFAULT_SIZE = 10 * 10**9
FREE_SHARE = 0.5  # of the disk's free bytes, that an entry may take at most
SUFFIX = ".kmixer"
ABANDONED_SECONDS = 24 * 3600  # after which a half-written file is nobody's any more
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def find_cache_folder() -> CacheFolder | None:
    """Return the `CacheFolder`: KMIXER_CACHE, XDG_CACHE_HOME/kmixer or ~/.cache/kmixer.

    None where none of them is set and the user has no home.

    Raises:
        SettingsError: KMIXER_CACHE_SIZE is no size.
    """
    folder, caches = os.environ.get(FOLDER), os.environ.get("XDG_CACHE_HOME", "")
    try:
        if folder:
            return CacheFolder(Path(folder).expanduser().absolute(), _size_limit())
        base = Path(caches) if os.path.isabs(caches) else Path.home() / ".cache"
    except RuntimeError:  # no home
        return None
    return CacheFolder(base / "kmixer", _size_limit())


def usable_cache(wanted: bool) -> CacheFolder | None:
    """Return the `CacheFolder`, or None if it is not wanted, or there is none to keep anything in.

    Raises:
        SettingsError: see `find_cache_folder`.
    """
    cache = find_cache_folder() if wanted else None
    return cache if cache and cache.limit else None


def _size_limit() -> int:
    text = os.environ.get(SIZE, "").strip()
    if not text:
        return DEFAULT_SIZE
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text, re.IGNORECASE)
    if match is None:
        raise SettingsError(f"{SIZE}: received {text!r}, expected bytes, or a size such as 20GB")
    return int(float(match[1]) * UNITS[match[2].upper()])


@dataclass(frozen=True)
class StoredEntry:
    """An entry, as `kmixer data cache list` shows it.

    Attributes:
        path: its file.
        size: of the file, in bytes.
        used: when it was last written or read, in seconds since 1970.
        facts: what was written about it; empty where it is damaged.
    """

    path: Path
    size: int
    used: float
    facts: dict[str, Any]


@dataclass(frozen=True)
class CacheFolder:
    """The folder of the cache; it need not exist.

    Attributes:
        path: of the folder.
        limit: bytes that its files may take together.
    """

    path: Path
    limit: int = DEFAULT_SIZE

    def find(self, key: str) -> Entry | None:
        """Open an entry and mark it as used now; None where there is none that is whole."""
        path = self._path(key)
        try:
            entry = Entry.open(path)
        except (DataError, OSError):
            return None
        with suppress(OSError):  # a folder that can only be read
            os.utime(path)
        return entry

    @contextmanager
    def writing(self, key: str, size: int) -> Iterator[EntryWriter]:
        """Yield the writer of a new entry, which is there once it was finished without an error.

        Args:
            key: of the entry.
            size: of its pixels, in bytes; room is made for them.

        Raises:
            RunError: there is no room, or the folder cannot be written.
        """
        atomic.make_folder(self.path)
        self._make_room(size)
        with (
            atomic.replacing(self._path(key)) as temporary,
            open(temporary, "wb") as file,
        ):
            yield EntryWriter(file)

    def entries(self) -> list[StoredEntry]:
        """Return the entries, those used last first."""
        found = [_describe(path) for path in self._files()]
        return sorted(filter(None, found), key=lambda entry: -entry.used)

    def clear(self) -> tuple[int, int]:
        """Remove all entries; return (how many, their bytes)."""
        removed = [entry.size for entry in self.entries() if _remove(entry.path)]
        for path in self._half_written():
            _remove(path)
        return len(removed), sum(removed)

    def _path(self, key: str) -> Path:
        return self.path / f"{key}{SUFFIX}"

    def _files(self) -> list[Path]:
        with suppress(OSError):
            return [path for path in self.path.glob(f"*{SUFFIX}") if path.name[0] != "."]
        return []

    def _half_written(self) -> list[Path]:
        return list(self.path.glob(f".*.tmp{SUFFIX}"))

    def _make_room(self, size: int) -> None:
        """Remove what was used least recently until `size` more bytes are within the limit."""
        free = shutil.disk_usage(self.path).free
        if size > self.limit:
            raise RunError(f"{self.path}: {_megabytes(size)} are more than {SIZE} allows")
        if size > free * FREE_SHARE:
            raise RunError(f"{self.path}: {_megabytes(size)} are too much for its disk")
        for path in self._half_written():
            with suppress(OSError):
                if path.stat().st_mtime < time.time() - ABANDONED_SECONDS:
                    path.unlink()
        kept = self.entries()
        total = sum(entry.size for entry in kept)
        while kept and total + size > self.limit:
            oldest = kept.pop()
            total -= oldest.size if _remove(oldest.path) else 0


def _describe(path: Path) -> StoredEntry | None:
    try:
        stat = path.stat()
        try:
            facts = Entry.open(path).facts
        except DataError:
            facts = {}
    except OSError:  # removed meanwhile
        return None
    return StoredEntry(path, stat.st_size, stat.st_mtime, facts)


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
