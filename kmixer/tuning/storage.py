"""Where an Optuna study is kept: a journal file, or a database by its URL."""

import time
from pathlib import Path

from ..errors import SettingsError

DRIVERS = {"postgresql": "postgresql+psycopg"}  # the one that the extra `tune` brings
TRIES = 5


def open_storage(storage):
    """Open a storage.

    Args:
        storage: the path of a journal file, or a URL such as `postgresql://user@host/name`.

    Raises:
        SettingsError: it cannot be reached, or its driver is not installed.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from sqlalchemy.exc import SQLAlchemyError

    scheme, separator, rest = str(storage).partition("://")
    try:
        if not separator:
            path = Path(storage)
            if not path.parent.is_dir():
                raise FileNotFoundError(2, "no such folder")
            return JournalStorage(JournalFileBackend(str(path)))
        return _open_database(f"{DRIVERS.get(scheme, scheme)}://{rest}")
    except (SQLAlchemyError, ImportError, OSError, ValueError) as error:
        shown = str(storage) if not separator else f"{scheme}://…@{rest.rpartition('@')[2]}"
        reason = " ".join(str(getattr(error, "orig", None) or error).split())[:200]
        raise SettingsError(f"--storage {shown}: cannot be opened: {reason}") from None


def _open_database(url):
    """Open a database; workers that begin at once may trip over each other making its tables."""
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    for _ in range(TRIES):
        try:
            return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        except (IntegrityError, ProgrammingError):
            time.sleep(1)
    return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
