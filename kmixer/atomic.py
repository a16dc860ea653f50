"""Files that are either whole or not there."""

import os
from contextlib import contextmanager
from pathlib import Path

from .errors import RunError


@contextmanager
def replacing(path):
    """Yield a temporary path beside `path`; on success it is fsynced and renamed to `path`.

    Raises:
        RunError: the disk is full or the file cannot be written; `path` is as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        _sync(temporary, os.O_RDWR)
        os.replace(temporary, path)
        _sync(path.parent, os.O_RDONLY)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path, text):
    """Write a text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_writable(path):
    """Raise now what `replacing` would raise after hours; `path` itself is not touched.

    Raises:
        RunError: a file cannot be written there.
    """
    path = Path(path)
    probe = path.with_name(f".{path.stem}.{os.getpid()}.probe")
    try:
        if path.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        probe.touch()
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        probe.unlink(missing_ok=True)


def make_folder(path):
    """Make a folder and its parents, where they are not there yet.

    Raises:
        RunError: it cannot be made.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path}: cannot be made: {error.strerror}") from None


def _sync(path, flags):
    if os.name != "posix" and path.is_dir():
        return  # Windows cannot open folders; there the rename alone has to do
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
