"""`kmixer train` and `kmixer resume`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import STARTED
from .loading import command_line, load_recipe, read_data, start
from .setting_options import with_setting_options
from .terminal import (
    START_HELP,
    Config,
    Dataset,
    Json,
    Preset,
    Quiet,
    Set,
    Terminal,
    folder_name,
    option,
)

if TYPE_CHECKING:
    from kmixer.config import Settings
    from kmixer.runs.run import Run

_RUN = "Run folder"


@with_setting_options()
def train(
    dataset: Dataset,
    preset: Preset = None,
    config: Config = None,
    start_from: Annotated[
        str | None,
        typer.Option("--start", metavar="NAME", help=START_HELP),
    ] = None,
    assignments: Set = None,
    name: Annotated[str | None, option("Of the run folder.", _RUN, callback=folder_name)] = None,
    out: Annotated[Path | None, option("The run folder itself.", _RUN)] = None,
    checkpoint_every: Annotated[
        str | None, option("Steps, or a time such as 10m.", _RUN, metavar="INT|TIME")
    ] = None,
    resume: Annotated[
        bool, option("Go on with the run of these settings, if it was begun.", _RUN, "--resume")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
    *,
    options: dict[str, Any],
) -> None:
    """Train a classifier; everything about it lands in a new folder under saved_models/.

    Example: kmixer train fmnist --blocks 2
    """
    every = {"training.checkpoint_every": checkpoint_every} if checkpoint_every else {}
    given = options | every
    terminal = Terminal(quiet, as_json)
    preset, settings = load_recipe(
        dataset, preset, config, given, assignments, terminal, start_from
    )
    train_and_show(preset, settings, name, out, terminal, resume)


def resume(
    run: Annotated[Path, typer.Argument(help="The folder of an interrupted run, or its name.")],
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Refuse where the result could differ in its last bits."),
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Go on with an interrupted run from its newest checkpoint.

    Example: kmixer resume saved_models/fmnist-1
    """
    from contextlib import nullcontext

    from kmixer.files.lock import folder_lock
    from kmixer.runs.asked import check_asked
    from kmixer.runs.resumable import check_unfinished
    from kmixer.runs.run import load_run

    opened = load_run(run)
    check_unfinished(opened)
    check_asked(opened)
    # Before anything slow is imported, one of two commands leaves; where several processes train
    # one run together, only the first of them asks for the lock, later.
    one_process = opened.settings.training.distribute == "none"
    with folder_lock(opened.folder) if one_process else nullcontext():
        terminal = Terminal(quiet, as_json)
        dataset = read_data(opened.settings, terminal)
        start(opened.settings.training.backend)
        from kmixer.training.train import resume

        _show(terminal, partial(resume, opened, dataset=dataset, strict=strict))


def train_and_show(
    preset: str | None, settings: "Settings", name: str | None, out: Path | None,
    terminal: Terminal, go_on: bool = False,
) -> None:  # fmt: skip
    """Train a run under a progress display and print its metrics; the arguments are `train`'s."""
    from kmixer.tracking.trackers import check_installed

    check_installed(settings.training.track)
    dataset = read_data(settings, terminal)
    start(settings.training.backend)
    from kmixer.training.train import train

    training = partial(
        train, settings, dataset=dataset, preset=preset, command=command_line(), name=name, out=out,
        go_on=go_on,
    )  # fmt: skip
    _show(terminal, training)


def _show(terminal: Terminal, training: Callable[..., "Run | None"]) -> None:
    from .progress import TrainingProgress

    progress = TrainingProgress(terminal)
    try:
        run = training(
            callbacks=[progress], on_start=progress.show_start, verbose=0, started=STARTED
        )
    finally:
        progress.close()
    if run is None:  # this process helped another one
        return
    progress.show_summary(run)
    terminal.result({"run": str(run.folder)} | run.metrics)
