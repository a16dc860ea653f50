"""What XLA compiles is kept for the next time, beside the decoded images.

A damaged entry ends a training, or computes something else, and it is machine code: so it is read
from a folder that only the user can write, under a name that holds its SHA-256. XLA itself works in
a folder of the process's own, and what it has written there is stored when the process ends.
"""

import atexit
import json
import os
import platform
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from ..data.cache import find_cache_folder, usable_cache
from ..errors import KmixerError
from ..files import atomic, staging
from .conditions import VARIABLES
from .provenance import versions

FOLDER = "compiled"  # in the cache's
LIMIT = 100 * 10**6  # bytes of all entries; a model has about two million
FREE = 500 * 10**6  # bytes of the disk: TensorFlow fails where an entry cannot be written
TENSORFLOW_FLAG = "--tf_xla_persistent_cache_directory="
ACCELERATORS = ("/dev/nvidiactl", "/dev/kfd")  # for which it is not measured
PROCESSOR = ("vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU ")


@contextmanager
def compiled_steps_kept(backend: str) -> Iterator[None]:
    """Let XLA find what it compiled before, and keep what it compiles from now on.

    The backend has to be imported inside. Where it is not safe, or nothing can be kept, nothing is.

    Args:
        backend: its name.
    """
    added: dict[str, str] = {}
    with suppress(KmixerError, OSError):
        if backend in _SWITCHES and (store := _store()):
            added = _SWITCHES[backend](_working_folder(store))
    os.environ.update(added)
    try:
        yield
    finally:
        for name in set(added) - {"TF_XLA_FLAGS"}:  # which is read when a step is compiled
            del os.environ[name]


def stored() -> list[int]:
    """Return the bytes of each entry that is kept, for any processor and versions."""
    return [path.stat().st_size for path in _all_entries()]


def clear() -> list[int]:
    """Remove what is kept; return the bytes of each entry."""
    sizes = stored()
    for path in _all_entries():
        path.unlink(missing_ok=True)
    return sizes


def _all_entries() -> list[Path]:
    cache = find_cache_folder()
    return _entries(cache.path / FOLDER) if cache else []


def _jax(folder: Path) -> dict[str, str]:
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES": "none",  # or the folder's name is in the key
    }


def _tensorflow(folder: Path) -> dict[str, str]:
    return {"TF_XLA_FLAGS": " ".join([*_flags(), f"{TENSORFLOW_FLAG}{folder}"])}


_SWITCHES = {"jax": _jax, "tensorflow": _tensorflow}


def _flags() -> list[str]:
    """Return the user's flags; a process that kmixer started has those of its parent as well."""
    words = os.environ.get("TF_XLA_FLAGS", "").split()
    return [w for w in words if not (w.startswith(TENSORFLOW_FLAG) and f"/{FOLDER}/." in w)]


def _store() -> Path | None:
    """Return the folder for this processor and these versions, or None where nothing is kept."""
    own = "JAX_COMPILATION_CACHE_DIR" in os.environ or TENSORFLOW_FLAG in " ".join(_flags())
    if own or any(map(os.path.exists, ACCELERATORS)):
        return None
    cache, key = usable_cache(True), _key()
    if cache is None or key is None:
        return None
    atomic.make_folder(cache.path)
    folder = cache.path / FOLDER / key
    for path in (folder.parent, folder):
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
    enough = shutil.disk_usage(folder).free > FREE
    return folder if enough and _only_ours(folder) else None


def _key() -> str | None:
    """Return a text for all that decides what XLA compiles; None where the processor is unknown."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
        cores = len(os.sched_getaffinity(0))
    except (OSError, ValueError, AttributeError):
        return None
    processor = [line for line in first.splitlines() if line.startswith(PROCESSOR)]
    variables = {name: os.environ.get(name) for name in VARIABLES if name != "TF_XLA_FLAGS"}
    conditions = [platform.machine(), processor, cores, versions(), variables, _flags()]
    return sha256(json.dumps(conditions, sort_keys=True).encode()).hexdigest()[:16]


def _only_ours(folder: Path) -> bool:
    """Return whether nobody else can write the folder, or exchange it or one above it."""
    owner = os.getuid()
    for path in (folder, folder.parent):
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner or status.st_mode & 0o077:
            return False
    for path in folder.resolve().parents:
        status = path.stat()
        everyone = status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX
        if status.st_uid not in (0, owner) or everyone:
            return False
    return True


def _working_folder(store: Path) -> Path:
    """Return a new folder with all entries; what is added to it is stored when the process ends."""
    _make_room(store.parent)
    stack = ExitStack()
    folder = stack.enter_context(staging.temporary_folder(store.parent, store.name))
    known = {name for path in _entries(store) if (name := _place(path, folder))}
    atexit.register(stack.close)
    atexit.register(_keep, folder, known, store)  # before it
    return folder


def _entries(folder: Path) -> list[Path]:
    """Return the entries of a store, or of all stores below a folder."""
    found = [*folder.glob("[!.]*"), *folder.glob("[!.]*/[!.]*")]
    return [path for path in found if path.is_file() and not path.is_symlink()]


def _place(path: Path, folder: Path) -> str | None:
    """Link a stored entry into the folder under XLA's name; remove one that is damaged."""
    name, _, digest = path.name.rpartition(".")
    with suppress(OSError):
        if name and sha256(path.read_bytes()).hexdigest() == digest:
            os.link(path, folder / name)
            return name
        path.unlink()
    return None


def _keep(folder: Path, known: set[str], store: Path) -> None:
    with suppress(OSError):
        for path in _entries(folder):
            if path.name not in known and path.suffix != ".tmp":
                digest = sha256(path.read_bytes()).hexdigest()
                path.rename(store / f"{path.name}.{digest}")


def _make_room(folder: Path) -> None:
    """Remove the oldest entries until all are within the limit."""
    found = [(path.stat().st_mtime, path.stat().st_size, path) for path in _entries(folder)]
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= LIMIT:
            return
        path.unlink()
        total -= size
