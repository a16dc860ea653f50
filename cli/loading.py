"""From the words of a command to settings and data, before Keras is imported."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kmixer.config import Settings
    from kmixer.data import Dataset

    from .terminal import Terminal


def load_settings(
    dataset: str, preset: str | None, config: Path | None, options: Mapping[str, Any],
    assignments: Iterable[str] | None, base: dict[str, Any] | None = None,
) -> tuple[str | None, Settings]:  # fmt: skip
    """Merge settings; see `kmixer.training.request.load_settings`."""
    from kmixer.training import request

    return request.load_settings(dataset, preset, config, options, assignments, base)


def load_recipe(
    dataset: str, preset: str | None, config: Path | None, options: Mapping[str, Any],
    assignments: Iterable[str] | None, terminal: Terminal, start: str | None = None,
) -> tuple[str | None, Settings]:  # fmt: skip
    """Load settings with the preset and the start that suit the data, where none is named.

    Args:
        dataset: see `load_settings`.
        preset: see `load_settings`.
        config: see `load_settings`.
        options: see `load_settings`.
        assignments: see `load_settings`.
        terminal: says what was chosen; quiet, so is a download.
        start: what to start from, or None.
    """
    from kmixer.training import request

    changed = [path for path, value in options.items() if value is not None]
    changed += [text.partition("=")[0].strip() for text in assignments or ()]
    with terminal.bar("looking") as progress:
        recipe = request.choose(dataset, preset, config, start, changed, progress)
    hush_downloads(terminal)
    return request.recipe_settings(recipe, dataset, config, options, assignments, terminal.say)


def hush_downloads(terminal: Terminal) -> None:
    """Show no bar of the Hub's client where nothing is to be printed; before it is imported."""
    if terminal.quiet:
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"


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
