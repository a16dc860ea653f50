"""A grid over settings → the runs it takes, and how far each of them is."""

import hashlib
import itertools
import json
import re
import shutil

from ..config import loading, yaml_files
from ..errors import SettingsError
from ..files import atomic

FILE = "sweep.yaml"
LONGEST_NAME = 120  # characters; file systems allow 255 bytes


def parse_grid(texts):
    """Turn `path.to.key=value,value` texts into a dict of value lists by path.

    Raises:
        SettingsError: a text is no such assignment, or a key comes twice.
    """
    grid = {}
    for path, values in loading.parse_lists(texts, "--grid").items():
        grid[path] = yaml_files.parse_yaml(f"[{values}]", f"--grid {path}")
        try:
            json.dumps(grid[path])
        except TypeError:
            raise SettingsError(
                f"--grid {path}: received {values}, expected plain values"
            ) from None
    return grid


def combinations(grid):
    """Return the assignments (`path=value` texts) of each run of a grid, by the run's name."""
    short = {path: _short(path) for path in grid}
    if len(set(short.values())) < len(short):
        short = {path: path for path in grid}
    runs = {}
    for values in itertools.product(*grid.values()):
        texts = [f"{path}={_text(value)}" for path, value in zip(grid, values, strict=True)]
        name = ",".join(f"{short[path]}={_word(v)}" for path, v in zip(grid, values, strict=True))
        if len(name) > LONGEST_NAME:
            digest = hashlib.sha256(" ".join(texts).encode()).hexdigest()[:8]
            name = f"{name[:LONGEST_NAME]}-{digest}"
        while runs.get(name, texts) != texts:  # two values that look alike as words
            name += "_"
        runs[name] = texts
    return runs


def _short(path):
    return path.removesuffix(".name").rpartition(".")[2]


def _word(value):
    """Return a value as part of a folder's name."""
    if isinstance(value, list):
        return "-".join(map(_word, value))
    text = value if isinstance(value, str) else json.dumps(value)
    return re.sub(r"[^\w.+-]+", "_", text)


def _text(value):
    """Return YAML that reads back to the value, plain words without quotes."""
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w./-]*", value)
    return value if plain and yaml_files.parse_yaml(value, "") == value else json.dumps(value)


def open_sweep(folder, runs):
    """Make a sweep's folder, or go on in one that was begun; runs may be added later.

    Args:
        folder: its path.
        runs: the `Settings` of each run, by its name.

    Raises:
        SettingsError: a run of the same name was begun with other settings.
    """
    path = folder / FILE
    begun = _read(path)
    now = {name: settings.model_dump(mode="json") for name, settings in runs.items()}
    for name in begun.keys() & runs.keys():
        if state(folder / name) != "new":
            _check_same(folder / name, loading.flatten(begun[name]), loading.flatten(runs[name]))
    atomic.make_folder(folder)
    kept = {name: settings.model_dump(mode="json") for name, settings in begun.items()}
    atomic.write_text(path, yaml_files.to_yaml(kept | now))


def _read(path):
    values = yaml_files.read_file(path, keep_run=True) if path.is_file() else {}
    try:
        return {str(name): loading.build_settings(each or {}) for name, each in values.items()}
    except (SettingsError, AttributeError) as error:
        raise SettingsError(f"{path}: damaged, or of another version: {error}") from None


def _check_same(folder, begun, now):
    for key in begun | now:
        if begun.get(key) != now.get(key):
            raise SettingsError(
                f"{folder}: begun with {key} {begun.get(key)!r}, received {now.get(key)!r};"
                " expected the same settings, or another --name"
            )


def state(folder):
    """Return `"finished"`, `"begun"` or `"new"` of a run's folder in a sweep."""
    if (folder / "metrics.json").is_file():
        return "finished"
    return "begun" if (folder / "config.yaml").is_file() else "new"


def clear(folder):
    """Remove what a run left that was killed before it had its settings: its class names."""
    left = list(folder.iterdir()) if folder.is_dir() else []
    if left and all(path.name == "labels.txt" or path.name.startswith(".") for path in left):
        shutil.rmtree(folder)
