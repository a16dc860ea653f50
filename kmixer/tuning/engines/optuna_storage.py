"""The storage of an Optuna study: a journal file, or a database by its URL."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from ...errors import SettingsError, one_line
from ...files.bounded import read_bounded

DRIVERS = {"postgresql": "postgresql+psycopg"}  # the one that the extra `tune` brings
TRIES = 5
MOST_BYTES = 500_000_000  # of a journal; a trial has a few thousand
STALE_SECONDS = 30  # after which Optuna takes a lock for a killed process's


def open_storage(storage: str | Path) -> BaseStorage:
    """Open a storage.

    Args:
        storage: the path of a journal file, or a URL such as `postgresql://user@host/name`.

    Raises:
        SettingsError: it cannot be reached, or its driver is not installed.
    """
    from sqlalchemy.exc import SQLAlchemyError

    is_url = "://" in str(storage)
    try:
        return _open_database(str(storage)) if is_url else _open_file(Path(storage))
    except (SQLAlchemyError, ImportError, OSError, LookupError, TypeError, ValueError,
            RuntimeError) as error:  # fmt: skip
        shown, secrets = _public(str(storage)) if is_url else (str(storage), [])
        reason = one_line(getattr(error, "orig", None) or error)
        for secret in secrets:
            reason = reason.replace(secret, "…")
        raise SettingsError(f"--storage {shown}: cannot be opened: {reason}") from None


def public_address(storage: str | Path) -> str:
    """Return a storage's file or URL as another program takes it, without user and password."""
    return _public(_with_driver(str(storage)))[0] if "://" in str(storage) else str(storage)


def _public(url: str) -> tuple[str, list[str]]:
    """Return what may be shown of a URL, and the parts of it that may not."""
    scheme, _, rest = url.partition("://")
    address, _, query = rest.partition("?")
    user, _, host = address.rpartition("@")
    password = user.partition(":")[2]
    secrets = [query, password, *password.split("@")]  # an @ in it is where drivers cut wrongly
    return f"{scheme}://{host}", [part for part in secrets if len(part) > 1]


def _open_file(path: Path) -> JournalStorage:
    if not path.parent.is_dir():
        raise FileNotFoundError(2, "no such folder")
    path = path.absolute()  # Optuna's lock is a link to it, which else would lead nowhere
    _remove_stale_lock(path)
    lock = JournalFileSymlinkLock(str(path))
    if path.is_file():
        lock.acquire()
        try:  # a line that a power cut left half-written would end every later reading
            content = read_bounded(path, MOST_BYTES)
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                os.truncate(path, whole)
        finally:
            lock.release()
    return JournalStorage(JournalFileBackend(str(path), lock))


def _with_driver(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{DRIVERS.get(scheme, scheme)}://{rest}"


def _remove_stale_lock(path: Path) -> None:
    """Remove a lock that does not lead to its file and stays as it is: Optuna never gives up on it.

    A killed process left it before its folder was moved, or it came with somebody else's folder.
    """
    lock = Path(f"{path}.lock")
    until, first = time.monotonic() + STALE_SECONDS, _identity(lock)
    while first and _identity(lock) == first and not _leads_to(lock, path):
        if time.monotonic() > until:
            lock.unlink(missing_ok=True)
            return
        time.sleep(0.1)


def _leads_to(link: Path, path: Path) -> bool:
    try:
        return link.samefile(path)
    except OSError:
        return False


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a link from one of the same name that comes after it; None: no link."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    return (status.st_ino, status.st_mtime_ns) if stat.S_ISLNK(status.st_mode) else None


def _open_database(url: str) -> RDBStorage:
    """Open a database; workers that start at once may all try to make its tables."""
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    url = _with_driver(url)
    for _ in range(TRIES):
        try:
            return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        except (IntegrityError, ProgrammingError):
            time.sleep(1)
    return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
