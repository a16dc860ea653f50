"""From the words of a command to settings and data, before Keras is imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kmixer.config import Settings
    from kmixer.data import Dataset

    from .terminal import Terminal


def load_settings(
    dataset: str, preset: str | None, config: Path | None, flags: Mapping[str, Any],
    assignments: Iterable[str] | None, base: dict[str, Any] | None = None,
) -> tuple[str | None, Settings]:  # fmt: skip
    """Merge settings: defaults < preset < file < base < flags.

    Args:
        dataset: names the data, and the preset of the same name where neither preset nor file is
            given.
        preset: a preset's name, or None.
        config: a YAML file, or None.
        flags: values (None where not given) by path.
        assignments: `path=value` texts.
        base: nested settings that only flags change: those of the run to start from.

    Returns:
        (the preset's name or None, `Settings`).
    """
    from kmixer.config import loading, presets
    from kmixer.data import check_name, find_source

    own_preset = preset is None and config is None and dataset in presets.preset_names()
    if own_preset and not find_source(dataset).is_path:  # a folder may have a preset's name
        preset = dataset
    layers = [presets.read_preset(preset)] if preset is not None else []
    layers += [_read_config(config, dataset, flags.get("data.dir"))] if config else []
    layers += [base] if base else []
    given = {path: value for path, value in flags.items() if value is not None}
    if "training.backend" in given:  # what was measured for another backend says nothing here
        layers += [loading.nest("training.jit", None)]
    flagged = [loading.nest("data.name", dataset)]
    flagged += [_flag(path, value) for path, value in given.items()]
    flagged += [loading.parse_assignment(text) for text in assignments or ()]
    settings = loading.build_settings(*layers, reduce(loading.merge, flagged))
    check_name(settings.data.name)  # before anything slow is imported
    return preset, settings


def _read_config(path: Path, dataset: str, data_dir: str | None) -> dict[str, Any]:
    """Return the settings of a file; of a run's config.yaml no folder is opened unasked."""
    from kmixer.config import loading, yaml_files
    from kmixer.data import find_source
    from kmixer.data.asked import check_asked_data

    values = yaml_files.read_file(path, keep_run=True)
    if "run" in values:
        del values["run"]
        data = loading.build_settings(values, loading.nest("data.name", dataset)).data
        if data.dir and not data_dir and not find_source(dataset).is_path:
            check_asked_data(data, path)
    return values


def load_recipe(
    dataset: str, preset: str | None, config: Path | None, flags: Mapping[str, Any],
    assignments: Iterable[str] | None, terminal: Terminal, start: str | None = None,
) -> tuple[str | None, Settings]:  # fmt: skip
    """Load settings with the preset and the start that suit the data, where none is named.

    Args:
        dataset: see `load_settings`.
        preset: see `load_settings`.
        config: see `load_settings`.
        flags: see `load_settings`.
        assignments: see `load_settings`.
        terminal: says what was chosen.
        start: what to start from, or None.
    """
    from kmixer.training.recipe import choose_recipe, named_recipe

    from .starts import open_start

    recipe = named_recipe(preset, start)
    if preset is None and config is None:
        changed = [path for path, value in flags.items() if value is not None]
        changed += [text.partition("=")[0].strip() for text in assignments or ()]
        with terminal.bar("looking") as progress:
            recipe = choose_recipe(dataset, start, changed, progress)
    if recipe.reason:
        terminal.say(f"preset   {recipe.preset}: {recipe.reason}")
    base = None
    if recipe.start:  # its model takes the images' size, as in `kmixer finetune`
        size = flags.get("data.image_size")
        base = open_start(recipe.start, terminal).start_settings(size)
        flags = {**flags, "data.image_size": None}
    return load_settings(dataset, recipe.preset, config, flags, assignments, base)


def _flag(path: str, value: Any) -> dict[str, Any]:
    """Return a flag as nested settings; its text is read as YAML, unless it is a path."""
    from kmixer.config import loading

    read = loading.nest if path == "data.dir" else loading.nest_yaml
    return read(path, value)


def read_data(settings: Settings, terminal: Terminal) -> Dataset | None:
    """Return the data set; it is read before Keras is imported, so that mistakes show early.

    Where several processes may train together they have to meet first; then it is None.

    Args:
        settings: that name it.
        terminal: shows how far it is.
    """
    from kmixer.backend import choose
    from kmixer.data import load_splits

    choose(settings.training.backend)
    if settings.training.distribute != "none":
        return None
    with terminal.bar("reading") as progress:
        return load_splits(settings.data, progress)


def start(backend: str | None = None) -> None:
    """Choose the backend and import Keras, before anything else does."""
    from kmixer.backend import choose, start
    from kmixer.runs.compiled import compiled_steps_kept

    with compiled_steps_kept(choose(backend)):
        start(backend)


def command_line() -> str:
    """Return this process's command as one types it."""
    import shlex
    import sys

    return shlex.join(["kmixer", *sys.argv[1:]])
