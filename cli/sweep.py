"""`kmixer sweep`."""

from pathlib import Path
from typing import Annotated

import typer

from .subprocesses import run_kmixer
from .terminal import Backend, DataDir, Json, Quiet, Set, Terminal, folder_name


def sweep(
    dataset: Annotated[
        str, typer.Argument(help="fmnist, mnist, cifar10, cifar100, tfds:NAME or an image folder.")
    ],
    grid: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE,VALUE,…", help="A setting's values; may be repeated."),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="A shipped preset; default: the data set's own, if any.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A YAML file of settings.")] = None,
    assignments: Set = None,
    backend: Backend = None,
    data_dir: DataDir = None,
    name: Annotated[
        str | None,
        typer.Option(help="Of the sweep's folder; default: <preset>-sweep.", callback=folder_name),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
):
    """Train every combination of a grid of settings, then compare; the same command goes on.

    Each combination is an ordinary run with its own command, in a folder of the sweep's. Runs that
    are finished are kept, one that was interrupted goes on from its newest checkpoint.

    Example: kmixer sweep fmnist --grid optimizer.learning_rate=0.01,0.03 --grid model.blocks=2,4
    """
    from kmixer.errors import SettingsError
    from kmixer.tuning import sweep as sweeps

    from .loading import load_settings

    if not grid:
        raise SettingsError("--grid: received none, expected at least one KEY=VALUE,VALUE,…")
    parsed = sweeps.parse_grid(grid)
    flags = {"training.backend": backend, "data.dir": data_dir}
    dataset = str(Path(dataset)) if Path(dataset).is_dir() else dataset  # photos/ is photos
    combinations = sweeps.combinations(parsed)
    runs = {}
    for each, texts in combinations.items():  # a mistake in the last is told before the first
        every = [*(assignments or ()), *texts]
        given, runs[each] = load_settings(dataset, preset, config, flags, every)
    folder = Path("saved_models") / (name or f"{given or Path(dataset).name}-sweep")
    sweeps.open_sweep(folder, runs)
    words = _words(dataset, preset, config, assignments, backend, data_dir)
    terminal = Terminal(quiet, as_json)
    failed = _run_all(terminal, folder, combinations, words, quiet or as_json)
    _close(terminal, folder, [each for each in combinations if each not in failed], failed)


def _words(dataset, preset, config, assignments, backend, data_dir):
    """Return the words of `kmixer train` that all runs share."""
    options = {"--preset": preset, "--config": config, "--backend": backend, "--data-dir": data_dir}
    words = [dataset]
    for option, value in options.items():
        words += [option, str(value)] if value is not None else []
    for text in assignments or ():
        words += ["--set", text]
    return words


def _run_all(terminal, folder, combinations, words, quiet):
    """Bring every run to its end and return the exit codes of those that failed, by name."""
    from kmixer.tuning import sweep as sweeps

    failed = {}
    for number, (name, texts) in enumerate(combinations.items(), 1):
        run = folder / name
        state = sweeps.state(run)
        terminal.say(f"\nrun {number}/{len(combinations)}  {name}  ({state})")
        if state == "finished":
            continue
        command = ["resume", str(run)] if state == "begun" else ["train", *words]
        if state == "new":
            sweeps.clear(run)
            command += [word for text in texts for word in ("--set", text)] + ["--out", str(run)]
        code = run_kmixer([*command, *(["--quiet"] if quiet else [])], folder)
        if code:
            failed[name] = code
    return failed


def _close(terminal, folder, finished, failed):
    from kmixer.errors import RunError
    from kmixer.evaluation.comparison import find_runs

    from .compare import show

    if finished:
        runs = find_runs([folder / name for name in finished])
        show(terminal, runs, out=folder / "comparison")
    if failed:
        told = ", ".join(f"{name} (exit code {code})" for name, code in failed.items())
        raise RunError(f"{len(failed)} of {len(failed) + len(finished)} runs failed: {told}")
