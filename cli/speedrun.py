"""`kmixer speedrun`."""

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .subprocesses import TrainCommand, check_reusable, run_kmixer
from .terminal import Backend, DataDir, Json, Quiet, Set, Terminal, folder_name, percent

if TYPE_CHECKING:
    from kmixer.config import Settings
    from kmixer.tuning.speed_recipes import SpeedRecipe
    from kmixer.tuning.speedrun import Training


def speedrun(
    dataset: Annotated[str, typer.Argument(help="fmnist or cifar10.")] = "fmnist",
    mark: Annotated[
        list[int] | None,
        typer.Option(
            metavar="PERCENT",
            help="The test accuracy to reach; may be repeated; default: all of the data set's.",
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="Trainings a mark, one a seed; the rules ask for five.")
    ] = 5,
    preset: Annotated[
        str | None, typer.Option(help="Another recipe than the mark's own: a shipped preset.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Another recipe: a YAML file of settings.")
    ] = None,
    assignments: Set = None,
    backend: Backend = None,
    data_dir: DataDir = None,
    name: Annotated[
        str | None,
        typer.Option(help="Of its folder; default: <dataset>-speedrun.", callback=folder_name),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measure the seconds from `kmixer train` to a test accuracy; the same command goes on.

    Each mark has a recipe, trained with several seeds, each in a process of its own. Rules: all of
    the process's time counts, from its start to its end, and that of measuring mirror images where
    the recipe asks for them; the validation split chooses the epoch, the test set nothing; the
    mean over the seeds has to reach the mark, or the exit code is 1.

    Example: kmixer speedrun fmnist --mark 90 --mark 92
    """
    from kmixer.errors import RunError
    from kmixer.files.lock import folder_lock
    from kmixer.tuning import speedrun, sweep
    from kmixer.tuning.speed_recipes import SpeedRecipe

    from .loading import command_line

    check_reusable(config)
    other = SpeedRecipe(preset, ()) if preset or config else None
    trainings = speedrun.plan(dataset, mark, seeds, other, assignments or ())
    options = {"training.backend": backend, "data.dir": data_dir}
    train_commands = {
        t.name: TrainCommand(dataset, t.recipe.preset, config, options, t.assignments)
        for t in trainings
    }
    settings = {run: command.recipe()[1] for run, command in train_commands.items()}
    folder = Path("saved_models") / (name or f"{dataset}-speedrun")
    sweep.open_sweep(folder, settings)
    terminal = Terminal(quiet, as_json)
    with folder_lock(folder):
        _measure_all(terminal, folder, trainings, train_commands, settings)
        typed = {t.mark: _typed(train_commands[t.name], t.recipe) for t in trainings}
        marks = speedrun.describe(folder, trainings, typed)
    report = {"command": command_line(), "dataset": dataset} | marks
    _print(terminal, report)
    terminal.result(report)
    if missed := [row for row in report["marks"] if not row["reached"]]:
        means = ", ".join(f"{row['mark']} % ({percent(row['accuracy_mean'])})" for row in missed)
        raise RunError(f"{dataset}: not reached by the mean of {seeds} seeds: {means}")


def _typed(command: TrainCommand, recipe: "SpeedRecipe") -> str:
    """Return a training's command as one types it, but for its seed."""
    typed = shlex.join(["kmixer", *replace(command, assignments=recipe.assignments).words])
    if recipe.flip_averaging:
        typed += " && kmixer evaluate RUN --flip-averaging"
    return typed


def _measure_all(
    terminal: Terminal,
    folder: Path,
    trainings: Sequence["Training"],
    train_commands: Mapping[str, TrainCommand],
    settings: Mapping[str, "Settings"],
) -> None:
    """Train what has not been measured yet, one after the other, and print a line for each."""
    from kmixer.tuning import speedrun, sweep

    with terminal.bar("training") as progress:
        for done, training in enumerate(trainings):
            progress(done, len(trainings))
            if not speedrun.is_measured(folder, training):
                name, command = training.name, train_commands[training.name]
                now = command.recipe()[1]  # a file may have been edited meanwhile
                sweep.check_same(folder / name, settings[name], now)
                speedrun.begin(folder, name)
                speedrun.record(folder, name, _measure(command, folder, training))
            row = speedrun.describe_training(folder, training)
            figures = f"{percent(row['accuracy'])} in {row['seconds']:.1f} s"
            terminal.say(f"{training.mark} %  seed {training.seed}  {figures}")


def _measure(command: TrainCommand, folder: Path, training: "Training") -> float:
    """Train, and measure mirror images too if asked for; return the seconds of the processes."""
    from kmixer.tuning.speedrun import FLIP_FOLDER

    run = folder / training.name
    words = [*command.words, "--out", str(run), "--quiet"]
    seconds = _seconds(words, folder, f"{run}: the training")
    if training.recipe.flip_averaging:
        words = ["evaluate", str(run), "--flip-averaging", "--out", str(run / FLIP_FOLDER)]
        seconds += _seconds([*words, "--quiet"], folder, f"{run}: the evaluation")
    return seconds


def _seconds(words: Sequence[str], folder: Path, what: str) -> float:
    """Run a command in a process of its own and return its seconds, from its start to its end."""
    from kmixer.errors import RunError

    started = time.perf_counter()
    code = run_kmixer(words, folder)
    seconds = time.perf_counter() - started
    if code:
        raise RunError(f"{what} failed (exit code {code})")
    return seconds


def _print(terminal: Terminal, report: Mapping[str, Any]) -> None:
    columns = ["mark", "test accuracy", "least", "seconds", "median", "each", "reached"]
    rows = [_cells(row) for row in report["marks"]]
    title = f"{report['dataset']}, {report['backend']}, {report['device']}"
    terminal.table(f"{title}, {report['threads']} threads", columns, rows)
    for row in report["marks"]:
        terminal.say(f"{row['mark']} %  {row['command']}")


def _cells(row: Mapping[str, Any]) -> list[str]:
    each = "  ".join(
        f"{percent(seed['accuracy'])} {seed['seconds']:.1f} s" for seed in row["seeds"]
    )
    return [
        f"{row['mark']} %", percent(row["accuracy_mean"]), percent(row["accuracy_min"]),
        f"{row['seconds_mean']:.1f}", f"{row['seconds_median']:.1f}", each,
        "yes" if row["reached"] else "no",
    ]  # fmt: skip
