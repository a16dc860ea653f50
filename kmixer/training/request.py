"""What a user asks for → settings: presets, files and options, one laid over the other.

Imports no Keras: the command line reads its words before it starts a backend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import loading, presets, yaml_files
from ..data import check_name, find_source
from ..data.asked import check_asked_data
from .recipe import Recipe, choose_recipe, named_recipe

if TYPE_CHECKING:
    from ..config import Settings
    from ..data.progress import Progress
    from ..runs.run import Run


def load_settings(
    dataset: str, preset: str | None, config: str | Path | None, options: Mapping[str, Any],
    assignments: Iterable[str] | None = None, base: dict[str, Any] | None = None,
) -> tuple[str | None, Settings]:  # fmt: skip
    """Merge settings: defaults < preset < file < base < options.

    Args:
        dataset: names the data, and the preset of the same name where neither preset nor file is
            given.
        preset: a preset's name, or None.
        config: a YAML file, or None.
        options: values by path, None where not given; texts are read as YAML.
        assignments: `path=value` texts.
        base: nested settings that only options change: those of the run to start from.

    Returns:
        (the preset's name or None, `Settings`).

    Raises:
        KmixerError: there is no such preset, setting or data set, or the file cannot be read.
    """
    own_preset = preset is None and config is None and dataset in presets.preset_names()
    if own_preset and not find_source(dataset).is_path:  # a folder may have a preset's name
        preset = dataset
    layers = [presets.read_preset(preset)] if preset is not None else []
    layers += [_read_config(config, dataset, options.get("data.dir"))] if config else []
    layers += [base] if base else []
    given = {path: value for path, value in options.items() if value is not None}
    if "training.backend" in given:  # what was measured for another backend says nothing here
        layers += [loading.nest("training.jit", None)]
    changes = [loading.nest("data.name", dataset)]
    changes += [_nested(path, value) for path, value in given.items()]
    changes += [loading.parse_assignment(text) for text in assignments or ()]
    settings = loading.build_settings(*layers, reduce(loading.merge, changes))
    check_name(settings.data.name)  # before anything slow is imported
    return preset, settings


def choose(
    dataset: str, preset: str | None, config: str | Path | None, start: str | None,
    changed: Iterable[str], progress: Progress | None = None,
) -> Recipe:  # fmt: skip
    """Return the preset and the start that suit the data, where none is named.

    Args:
        dataset: see `load_settings`.
        preset: see `load_settings`.
        config: see `load_settings`.
        start: what to start from, or None.
        changed: the paths of the settings that the user gives.
        progress: called with (done, total) while a folder is looked at.
    """
    if preset is None and config is None:
        return choose_recipe(dataset, start, list(changed), progress)
    return named_recipe(preset, start)


def recipe_settings(
    recipe: Recipe, dataset: str, config: str | Path | None, options: Mapping[str, Any],
    assignments: Iterable[str] | None = None, say: Callable[[str], object] = lambda line: None,
) -> tuple[str | None, Settings]:  # fmt: skip
    """Return what `load_settings` does, with the recipe's preset and start.

    Args:
        recipe: see `choose`.
        dataset: see `load_settings`.
        config: see `load_settings`.
        options: see `load_settings`.
        assignments: see `load_settings`.
        say: called with a line on what was chosen.
    """
    if recipe.reason:
        say(f"preset   {recipe.preset}: {recipe.reason}")
    base = None
    if recipe.start:  # its model takes the images' size, as in `kmixer finetune`
        size = options.get("data.image_size")
        base = open_start(recipe.start, say).start_settings(size)
        options = {**options, "data.image_size": None}
    return load_settings(dataset, recipe.preset, config, options, assignments, base)


def open_start(name: str | Path, say: Callable[[str], object]) -> Run:
    """Return the run that a fine-tuning starts from; published weights are fetched.

    Args:
        name: see `kmixer.runs.starts.resolve_start`.
        say: called with what was found, unless it is a run's folder.
    """
    from ..runs.starts import resolve_start
    from ..runs.starts.start import Start

    start = resolve_start(name)
    start.check_model()
    if isinstance(start, Start):
        say(f"start    {start.reference}: {start.summary}")
    return start


def _read_config(path: str | Path, dataset: str, data_dir: str | None) -> dict[str, Any]:
    """Return the settings of a file; of a run's config.yaml no folder is opened unasked."""
    values = yaml_files.read_file(Path(path), keep_run=True)
    if "run" in values:
        del values["run"]
        data = loading.build_settings(values, loading.nest("data.name", dataset)).data
        if data.dir and not data_dir and not find_source(dataset).is_path:
            check_asked_data(data, path)
    return values


def _nested(path: str, value: Any) -> dict[str, Any]:
    """Return an option as nested settings; its text is read as YAML, unless it is a path."""
    read = loading.nest if path == "data.dir" else loading.nest_yaml
    return read(path, value)
