"""`kmixer sweep`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .setting_options import with_setting_options
from .subprocesses import check_none_failed, check_reusable, train_all, train_words
from .terminal import Config, Dataset, Json, Preset, Quiet, Set, Terminal, folder_name

if TYPE_CHECKING:
    from kmixer.config import Settings


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

    from .loading import load_recipe

    if not grid:
        raise SettingsError("--grid: received none, expected at least one KEY=VALUE,VALUE,…")
    check_reusable(config)
    parsed = sweeps.parse_grid(grid)
    dataset = tidy_name(dataset)
    combinations = sweeps.combinations(parsed)

    def load(texts: list[str]) -> "tuple[str | None, Settings]":
        run_assignments = [*(assignments or ()), *texts]
        return load_recipe(dataset, preset, config, options, run_assignments, Terminal(quiet=True))

    runs = {}
    for run_name, texts in combinations.items():  # a mistake in the last stops before the first
        preset_name, runs[run_name] = load(texts)
    stem = f"{run_stem(Path(dataset).name, preset_name)}-sweep"
    folder = out or Path("saved_models") / (name or stem)
    check_installed(sweep_trackers(runs.values()))
    sweeps.open_sweep(folder, runs)
    terminal = Terminal(quiet, as_json)

    def check(run_name: str) -> None:
        """Refuse a run whose settings were edited while the runs before it were trained."""
        _, now = load(combinations[run_name])
        sweeps.check_same(folder / run_name, runs[run_name], now)

    trainings = {
        name: train_words(dataset, preset, config, [*(assignments or ()), *texts], options)
        for name, texts in combinations.items()
    }
    with tracked_sweep(folder, runs, parsed):
        failed = train_all(terminal, folder, trainings, check)
        _compare(terminal, folder, [run for run in combinations if run not in failed])
        check_none_failed(failed, len(trainings))


def _compare(terminal: Terminal, folder: Path, finished: list[str]) -> None:
    from kmixer.evaluation.comparison import find_runs
    from kmixer.files.opened import refuse_links

    from .compare import show

    if finished:
        refuse_links(folder / "comparison", within=folder)
        runs = find_runs([folder / name for name in finished])
        show(terminal, runs, out=folder / "comparison")
