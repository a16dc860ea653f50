"""A grid over settings → the runs it takes, and how far each of them is."""

import itertools
import json
import re
import shutil

from . import atomic, settings_io
from .comparison import flat_settings
from .errors import SettingsError

FILE = "sweep.yaml"


def parse_grid(texts):
    """Turn `path.to.key=value,value` texts into a dict of value lists by path.

    Raises:
        SettingsError: a text is no such assignment, or a key comes twice.
    """
    grid = {}
    for text in texts:
        path, _, values = (part.strip() for part in text.partition("="))
        if not path or not values:
            raise SettingsError(f"--grid: received {text!r}, expected path.to.key=value,value,…")
        if path in grid:
            raise SettingsError(f"--grid: received {path} twice, expected all its values in one")
        grid[path] = settings_io.parse_yaml(f"[{values}]", f"--grid {path}")
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
        while runs.get(name, texts) != texts:  # two values that look alike as words
            name += "_"
        runs[name] = texts
    return runs


def _short(path):
    return path.removesuffix(".name").rpartition(".")[2]


def _word(value):
    """Return a value as part of a folder's name."""
    text = "-".join(map(_text, value)) if isinstance(value, list) else _text(value)
    return re.sub(r"[^\w.+-]+", "_", text)


def _text(value):
    """Return YAML that reads back to the value, words without quotes."""
    if isinstance(value, str) and settings_io.parse_yaml(value, "") == value:
        return value
    return json.dumps(value)


def open_sweep(folder, base, grid):
    """Make a sweep's folder, or go on in one that was begun with the same settings.

    Args:
        folder: its path.
        base: the `Settings` that all runs share, apart from the grid.
        grid: as `parse_grid` returns it; values and keys may be added later.

    Raises:
        SettingsError: the folder holds a sweep of other settings.
    """
    path = folder / FILE
    if path.is_file():
        begun = settings_io.build(settings_io.read_file(path))
        _check_same(folder, flat_settings(begun), flat_settings(base))
    atomic.make_folder(folder)
    header = "".join(f"# --grid {key}={','.join(map(_text, grid[key]))}\n" for key in grid)
    atomic.write_text(path, header + settings_io.dump(base))


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
    if (folder / "config.yaml").is_file():
        return "begun"
    if folder.is_dir():  # killed before it had its settings: nothing in it can be used
        shutil.rmtree(folder)
    return "new"
