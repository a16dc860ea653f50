"""What may be opened because a run names it: what the user has named on this machine before.

The folder of a run may come from anybody, and its settings name folders, data sets and starts. What
was named here, by a training or another command, is kept in the cache's folder, where no run is: a
file for each, called by its SHA-256. Where nothing can be kept, it counts until the process ends.
"""

from __future__ import annotations

import shlex
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError, KmixerError
from ..files import atomic
from . import absolute_name, find_source
from .cache import find_cache_folder
from .dataset import data_folder

if TYPE_CHECKING:
    from ..config import DataSettings

FOLDER = "asked"  # in the cache's

_asked_here: set[str] = set()


def remember_data(data: DataSettings) -> None:
    """Remember that the user has named the data set of these settings."""
    with suppress(KmixerError):  # there is no such data set: whoever loads it says so
        if place := _place(data):
            remember(place)


def check_asked_data(data: DataSettings, whose: str | Path) -> None:
    """Refuse a data set that the user has never named.

    Data sets that kmixer knows by name are opened unasked, from where the user keeps them; folders
    of images also where they lie below the working folder, which the user has chosen.

    Args:
        data: the settings of a run, which may be somebody else's.
        whose: names the run in the error.

    Raises:
        DataError: see above.
    """
    place = _place(data)
    if place is None or is_remembered(place) or _lies_here(data, whose):
        return
    words = ["kmixer", "data", "info", str(data.name)]
    words += ["--data-dir", data.dir] if data.dir and not find_source(data.name).is_path else []
    raise DataError(
        f"{whose}: its config.yaml names images that were never named on this machine, and are not"
        f" opened unasked: {place}; if they may be opened, {_first()}name them: {shlex.join(words)}"
    )


def _first() -> str:
    """Return what has to be done before anything named can be remembered."""
    if cache := find_cache_folder():
        with suppress(OSError, KmixerError):
            atomic.make_folder(cache.path)
            if not atomic.is_read_only(cache.path):
                return ""
    return "set KMIXER_CACHE to a folder that can be written and is kept, and "


def _place(data: DataSettings) -> str | None:
    """Return what the settings of a data set stand for, in words; None: nothing to ask for."""
    if data.name is None:
        return None
    source = find_source(data.name)
    if not source.is_kept:
        return None
    if source.is_path:
        return f"the folder {absolute_name(data.name)}"
    own_folder = data_folder().resolve()
    folder = data_folder(data.dir).resolve()
    if source.has_fixed_name and folder == own_folder:
        return None
    return f"{data.name} in {folder}"


def _lies_here(data: DataSettings, whose: str | Path) -> bool:
    """Return whether it is a folder of images below the working folder, and not in the run's.

    Not where nobody chose to stand there: in the home folder, or above it.
    """
    if not find_source(data.name).is_path:
        return False
    here, folder = Path.cwd().resolve(), Path(absolute_name(str(data.name))).resolve()
    try:
        home = Path.home().resolve()
    except RuntimeError:  # there is none
        home = Path(here.anchor)
    run = Path(whose).resolve()
    is_the_runs = folder.is_relative_to(run if run.is_dir() else run.parent)
    return here in folder.parents and not home.is_relative_to(here) and not is_the_runs


def remember(place: str) -> None:
    """Remember that the user has named something, such as a start, which has no other record."""
    _asked_here.add(place)
    with suppress(OSError, KmixerError):  # not to be written, or not even to be looked into
        if (path := _record(place)) and not path.exists():
            atomic.make_folder(path.parent)
            atomic.write_text(path, f"{place}\n")


def is_remembered(place: str) -> bool:
    """Return whether the user has named it before."""
    if place in _asked_here:
        return True
    with suppress(OSError):  # see above
        return bool((path := _record(place)) and path.is_file())
    return False


def _record(place: str) -> Path | None:
    cache = find_cache_folder()
    name = sha256(place.encode(errors="surrogateescape")).hexdigest()
    return cache.path / FOLDER / name if cache else None
