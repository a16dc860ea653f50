"""Whether the files of a run folder belong together, told by what they hold.

A folder that is copied while it is trained, or put together from two, holds files of different
moments or of different runs, each of them whole. Checksums of the content, not of the bytes, are
compared: a file that was written again with the same content is the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import yaml_files
from ..errors import RunError
from ..files.keras_archive import read_arrays
from .run import (
    CHECKPOINT_FILE,
    CONFIG_FILE,
    HISTORY_FILE,
    LABELS_FILE,
    MODEL_FILE,
    PREVIOUS_CHECKPOINT_FILE,
)
from .seen_images import SEEN_FILE, SPLITS, read_seen_images

if TYPE_CHECKING:
    import numpy as np

    from .run import Run

SINCE_FORMAT = 3  # in which metrics.json names the other files
MEASURED = ("seconds", "examples_per_second")  # of a history: a run that is repeated differs
# Where the images lie and how they are kept is free to change.
PLACES = ("name", "dir", "cache", "in_memory")


def arrays_checksum(arrays: Iterable[tuple[str, np.ndarray]]) -> str:
    """Return a SHA-256, as hex, over the names, types, shapes and bytes of arrays."""
    digest = sha256()
    for name, array in arrays:
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def weights_checksum(path: Path) -> str:
    """Return the SHA-256, as hex, of the weights in a `.keras` file; imports no Keras.

    Raises:
        RunError: the file is missing, damaged or unsafe.
    """
    return arrays_checksum(read_arrays(path).items())


def content_checksums(run: Run, but: Iterable[str] = ()) -> dict[str, str]:
    """Return the SHA-256 of what the files of a run hold, by their names.

    Args:
        run: the `Run`.
        but: names of files that are left out; so are those that no prediction needs and that are
            missing, as in a run that was published without them.

    Raises:
        RunError: a file is damaged, or is missing and needed.
    """
    missing = {name for name in (HISTORY_FILE, SEEN_FILE) if not (run.folder / name).exists()}
    names = [name for name in _CHECKSUMS if name not in missing.union(but)]
    return {name: _CHECKSUMS[name](run) for name in names}


def check_consistent(run: Run, but: Iterable[str] = ()) -> None:
    """Refuse a finished run whose files do not belong together; of others nothing is known yet.

    Args:
        run: the `Run`.
        but: names of files that are not compared, such as a model that takes long to read.

    Raises:
        RunError: metrics.json is damaged, or names other files than those that are there.
    """
    if run.imported or not run.finished:
        return
    named = run.metrics.get("content_sha256")
    if named is None and run.info["format"] < SINCE_FORMAT:
        return
    found = content_checksums(run, but)
    others = [name for name in found if found[name] != (named or {}).get(name)]
    if others:
        raise RunError(
            f"{run.folder}: {' and '.join(others)} and metrics.json do not belong together,"
            f" perhaps copied while it was trained or put together from two runs; {_remedy(run)}"
        )


def inconsistency(run: Run) -> str | None:
    """Return why the files of a finished run do not belong together; None: they do."""
    try:
        check_consistent(run)
    except RunError as error:
        return str(error)
    return None


def _remedy(run: Run) -> str:
    if has_checkpoint(run.folder):
        return f"copy it again, or write them anew from its checkpoint: kmixer resume {run.folder}"
    return "copy it again"


def has_checkpoint(folder: Path) -> bool:
    """Return whether a run folder holds a checkpoint, whole or not."""
    return any((folder / name).exists() for name in (CHECKPOINT_FILE, PREVIOUS_CHECKPOINT_FILE))


def _model(run: Run) -> str:
    return weights_checksum(run.folder / MODEL_FILE)


def _labels(run: Run) -> str:
    return sha256("\n".join(run.class_names).encode()).hexdigest()


def _config(run: Run) -> str:
    """Return the checksum of what the model and its images are, as it stands in the file."""
    values = yaml_files.read_file(run.folder / CONFIG_FILE, keep_run=True)
    data = values.get("data") or {}
    described = {
        "model": values.get("model"),
        "data": {key: value for key, value in data.items() if key not in PLACES},
        "input_shape": run.info["input_shape"],
    }
    return sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def _history(run: Run) -> str:
    """Return the checksum of the history, but for the times that were measured."""
    told = [{k: v for k, v in row.items() if k not in MEASURED} for row in run.history]
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _seen_images(run: Run) -> str:
    seen = read_seen_images(run.folder)
    assert seen is not None  # nobody asks where the file is missing
    return arrays_checksum((name, getattr(seen, name)) for name in SPLITS)


_CHECKSUMS: dict[str, Callable[[Run], str]] = {
    CONFIG_FILE: _config,
    LABELS_FILE: _labels,
    MODEL_FILE: _model,
    HISTORY_FILE: _history,
    SEEN_FILE: _seen_images,
}
