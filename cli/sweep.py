"""`kmixer sweep`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from .setting_options import with_setting_options
from .subprocesses import TrainCommand, check_none_failed, check_reusable, train_all
from .terminal import Config, Dataset, Json, Preset, Quiet, Set, Terminal, folder_name


@with_setting_options()
def sweep(
    dataset: Dataset,
    grid: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE,VALUE,…", help="A setting's values; may be repeated."),
    ] = None,
    preset: Preset = None,
    config: Config = None,
    assignments: Set = None,
    name: Annotated[
        str | None,
        typer.Option(help="Of the sweep's folder; default: <preset>-sweep.", callback=folder_name),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The sweep's folder itself.")] = None,
    quiet: Quiet = False,
    as_json: Json = False,
    *,
    options: dict[str, Any],
) -> None:
    """Train every combination of a grid of settings, then compare; the same command goes on.

    Each combination is an ordinary run with its own command, in a folder of the sweep's. Runs that
    are finished are kept, one that was interrupted goes on from its newest checkpoint.

    Example: kmixer sweep fmnist --grid optimizer.learning_rate=0.01,0.03 --grid model.blocks=2,4
    """
    from kmixer.data import tidy_name
    from kmixer.errors import SettingsError
    from kmixer.runs.naming import run_stem
    from kmixer.tracking.trackers import check_installed
    from kmixer.tuning import sweep as sweeps
    from kmixer.tuning.tracking import sweep_trackers, tracked_sweep

    if not grid:
        raise SettingsError("--grid: received none, expected at least one KEY=VALUE,VALUE,…")
    check_reusable(config)
    parsed = sweeps.parse_grid(grid)
    command = TrainCommand(tidy_name(dataset), preset, config, options, assignments or ())
    train_commands = {
        run: replace(command, assignments=[*command.assignments, *texts])
        for run, texts in sweeps.combinations(parsed).items()
    }
    recipes = {
        run: command.recipe() for run, command in train_commands.items()
    }  # all, before one is trained
    settings = {run: of_run for run, (_, of_run) in recipes.items()}
    stem = f"{run_stem(Path(command.dataset).name, next(iter(recipes.values()))[0])}-sweep"
    folder = out or Path("saved_models") / (name or stem)
    check_installed(sweep_trackers(settings.values()))
    sweeps.open_sweep(folder, settings)
    terminal = Terminal(quiet, as_json)
    with tracked_sweep(folder, settings, parsed):
        failed = train_all(terminal, folder, train_commands, settings)
        _compare(terminal, folder, [run for run in train_commands if run not in failed])
        check_none_failed(failed, len(train_commands))


def _compare(terminal: Terminal, folder: Path, finished: list[str]) -> None:
    from kmixer.evaluation.comparison import find_runs
    from kmixer.files.opened import refuse_links

    from .compare import show

    if finished:
        refuse_links(folder / "comparison", within=folder)
        runs = find_runs([folder / name for name in finished])
        show(terminal, runs, out=folder / "comparison")
