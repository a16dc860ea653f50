"""A grid of settings: the runs it consists of, and the state of each."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config import Settings, loading, yaml_files
from ..errors import SettingsError
from ..files import atomic
from ..runs.resumable import changed_keys, changed_message
from ..runs.run import LABELS_FILE, run_state

FILE = "sweep.yaml"
LONGEST_NAME = 120  # bytes; file systems allow 255
MOST_RUNS, LARGER = 1000, 10  # the file of so many is up to ten times as large as settings


def parse_grid(texts: list[str]) -> dict[str, list[Any]]:
    """Turn `path.to.key=value,value` texts into a dict of value lists by path.

    Raises:
        SettingsError: a text is no such assignment, or a key comes twice.
    """
    return {
        path: yaml_files.parse_yaml(f"[{values}]", f"--grid {path}")
        for path, values in loading.parse_lists(texts, "--grid").items()
    }


def combinations(grid: Mapping[str, list[Any]]) -> dict[str, list[str]]:
    """Return the assignments (`path=value` texts) of each run of a grid, by the run's name.

    Raises:
        SettingsError: they are more than `MOST_RUNS`.
    """
    if (count := math.prod(map(len, grid.values()))) > MOST_RUNS:
        raise SettingsError(f"--grid: received {count:,} combinations, at most {MOST_RUNS:,}")
    short = {path: _short_path(path) for path in grid}
    if len(set(short.values())) < len(short):
        short = {path: path for path in grid}
    runs: dict[str, list[str]] = {}
    for values in itertools.product(*grid.values()):
        by_path = list(zip(grid, values, strict=True))
        texts = [f"{path}={yaml_word(value)}" for path, value in by_path]
        name = ",".join(f"{short[path]}={_word(value)}" for path, value in by_path)
        if len(name.encode()) > LONGEST_NAME:
            digest = hashlib.sha256(" ".join(texts).encode()).hexdigest()[:8]
            name = f"{name.encode()[:LONGEST_NAME].decode(errors='ignore')}-{digest}"
        while runs.get(name, texts) != texts:  # two values that look alike as words
            name += "_"
        runs[name] = texts
    return runs


def _short_path(path: str) -> str:
    return path.removesuffix(".name").rpartition(".")[2]


def _word(value: Any) -> str:
    """Return a value as part of a folder's name."""
    if isinstance(value, list):
        return "-".join(map(_word, value))
    text = value if isinstance(value, str) else json.dumps(value)
    return re.sub(r"[^\w.+-]+", "_", text)


def yaml_word(value: Any) -> str:
    """Return YAML that reads back to the value, plain words without quotes."""
    is_word = isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w./-]*", value)
    if is_word and yaml_files.parse_yaml(value, "") == value:
        return str(value)
    return json.dumps(value, ensure_ascii=False)  # YAML takes the halves of an emoji for two


def open_sweep(folder: Path, runs: Mapping[str, Settings]) -> None:
    """Make a sweep's folder, or continue the sweep in it; runs may be added later.

    Args:
        folder: its path.
        runs: the `Settings` of each run, by its name.

    Raises:
        SettingsError: a run of the same name was begun with other settings, they are more than
            `MOST_RUNS`, or the folder is itself a run's.
    """
    if run_state(folder) != "new":
        raise SettingsError(f"{folder}: is a run; choose another --name for the sweep")
    path = folder / FILE
    before = _read(path)
    for name in before.keys() & runs.keys():
        if run_state(folder / name) != "new":
            check_same(folder / name, before[name], runs[name])
    if (count := len(before.keys() | runs.keys())) > MOST_RUNS:
        raise SettingsError(f"{path}: {count:,} runs, at most {MOST_RUNS:,}; choose another --name")
    atomic.make_folder(folder)
    values = {name: run.model_dump(mode="json") for name, run in (before | dict(runs)).items()}
    atomic.write_text(path, yaml_files.to_yaml(values))


def _read(path: Path) -> dict[str, Settings]:
    values = yaml_files.read_file(path, True, LARGER) if path.is_file() else {}
    try:
        return {str(name): loading.build_settings(keys or {}) for name, keys in values.items()}
    except (SettingsError, AttributeError) as error:
        raise SettingsError(f"{path}: damaged, or of another version: {error}") from None


def check_same(folder: Path, settings_before: Settings, settings_now: Settings) -> None:
    """Refuse to begin or go on with a run whose settings are no longer the sweep's.

    Raises:
        SettingsError: naming the first that differs.
    """
    before, now = loading.flatten(settings_before), loading.flatten(settings_now)
    if changed := changed_keys(before, now):
        raise SettingsError(changed_message(folder, changed, before, now))


def remove_unstarted(folder: Path) -> None:
    """Remove the folder of a run that was killed before it had settings: it has class names only.

    Args:
        folder: of the run; anything else in it keeps it.
    """
    files = list(folder.iterdir()) if folder.is_dir() else []
    if files and all(path.name == LABELS_FILE or path.name.startswith(".") for path in files):
        shutil.rmtree(folder)
