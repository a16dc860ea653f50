"""`kmixer reproduce`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .subprocesses import TrainCommand, check_none_failed, train_all
from .terminal import Backend, DataDir, Json, Quiet, Set, Terminal, folder_name

if TYPE_CHECKING:
    from kmixer.tuning.reports import Report, Training

NOT_YET = "–"
EXPLANATION = (
    "its protocol: all training images, the best epoch chosen on the test images, as the report"
    " chose it, so no estimate; strict: a validation split chooses, the test images are read once"
)


def reproduce(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="REPORT...", help="Names of --list, or all.")
    ] = None,
    list_them: Annotated[bool, typer.Option("--list", help="List the reports.")] = False,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each protocol.")] = 1,
    assignments: Set = None,
    backend: Backend = None,
    data_dir: DataDir = None,
    name: Annotated[
        str,
        typer.Option(help="Of the folder of the runs.", callback=folder_name),
    ] = "reproduce",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train what a report trained, under its own protocol and under a strict one, and compare.

    The report's figure stands beside ours: of the epoch that is best on the test images, as reports
    choose it, and of the one that a validation split chooses. The same command goes on.

    Example: kmixer reproduce fmnist-pyramid --seeds 3
    """
    from kmixer.errors import SettingsError
    from kmixer.tuning import reports, sweep

    from .loading import command_line

    terminal = Terminal(quiet, as_json)
    if list_them:
        _list(terminal, reports.all_reports())
        return
    if not names:
        raise SettingsError("report: received none, expected names of `--list`, or all")
    trainings = reports.plan(reports.choose_reports(names), seeds, assignments or ())
    folder = Path("saved_models") / name
    options = {"training.backend": backend, "data.dir": data_dir}
    train_commands = {training.name: _command(training, options) for training in trainings}
    settings = {run: command.recipe()[1] for run, command in train_commands.items()}
    sweep.open_sweep(folder, settings)
    failed = train_all(terminal, folder, train_commands, settings)
    finished = [training for training in trainings if training.name not in failed]
    rows = reports.describe(folder, finished)
    terminal.table(None, COLUMNS, [_cells(row) for row in rows])
    terminal.say(EXPLANATION)
    terminal.result({"command": command_line(), "folder": str(folder), "reports": rows})
    check_none_failed(failed, len(trainings))


def _list(terminal: Terminal, reports: Mapping[str, "Report"]) -> None:
    width = max(map(len, reports))
    for name, report in reports.items():
        terminal.say(f"{name:<{width}}  {report.figures.test:.2f} %  {report.title}")
    terminal.result({"reports": {name: r.model_dump() for name, r in reports.items()}})


def _command(training: "Training", options: Mapping[str, str | None]) -> TrainCommand:
    report = training.report
    return TrainCommand(report.dataset, report.preset, None, options, training.assignments)


COLUMNS = (
    "report", "it says", "ours, its protocol", "its last epoch", "reached", "ours, strict", "seeds",
)  # fmt: skip


def _cells(row: Mapping[str, Any]) -> Sequence[object]:
    reported = row["reported"]
    says = f"{reported['test']:.2f}"
    if "test_last" in reported:
        says += f", last {reported['test_last']:.2f}"
    missed = row["missed_by"]
    reached = NOT_YET if missed is None else "yes" if not missed else f"missed by {missed:.2f}"
    ours = (_figure(row[key]) for key in ("chosen_on_test", "last", "strict"))
    best, last, strict = ours
    return [row["report"], says, best, last, reached, strict, row["seeds"]]


def _figure(accuracy: float | None) -> str:
    return NOT_YET if accuracy is None else f"{accuracy:.2f} %"
