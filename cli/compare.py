"""`kmixer compare`."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .terminal import Json, Quiet, Terminal, percent

if TYPE_CHECKING:
    from kmixer.runs.run import Run

MOST_DIFFERENCES = 8  # of more, none is printed; the report has them all
NOT_MEASURED = "–"  # a search's trials do not read the test set
ONLY_WIDE = ("train %", "best", "MFLOPs", "examples/s")  # on a wide terminal


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Run folders, folders of runs, or globs of them."),
    ],
    csv: Annotated[Path | None, typer.Option(help="Write the table as CSV here.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write it as Markdown here.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the pictures; default: comparison/ beside the runs."),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Put finished runs side by side: a table, and their curves over each other.

    Example: kmixer compare 'saved_models/fmnist-*' --markdown comparison.md
    """
    from kmixer.backend import without_collections

    with without_collections():  # a tenth of the second that this takes
        from kmixer.evaluation.comparison import find_runs

    terminal = Terminal(quiet, as_json)
    show(terminal, find_runs(runs, skipped=terminal.say), csv, markdown, out)


def show(
    terminal: Terminal,
    runs: Sequence["Run"],
    csv: Path | None = None,
    markdown: Path | None = None,
    out: Path | None = None,
) -> None:
    """Print the comparison of finished runs and write its files.

    Args:
        terminal: prints it.
        runs: the finished runs.
        csv: where the table is written as CSV; None: nowhere.
        markdown: where the table is written as Markdown; None: nowhere.
        out: the folder of the figures; default `comparison` beside the runs.
    """
    from kmixer.evaluation import comparison
    from kmixer.files import atomic

    rows = comparison.table(runs)
    header, cells = _cells(rows)
    fits = [i for i, column in enumerate(header) if terminal.wide or column not in ONLY_WIDE]
    terminal.table(None, [header[i] for i in fits], [[row[i] for i in fits] for row in cells])
    terminal.say(
        "train, val and test: of the epoch that was best on validation, best; last: test accuracy"
        " of the last epoch"
    )
    _print_differences(terminal, runs)
    for dataset, row in comparison.best_rows(rows).items():
        terminal.say(
            f"best on {dataset}'s validation split: {row['run']},"
            f" {percent(row['validation_accuracy'])} (test {percent(row['test_accuracy'])})"
        )
    if csv:
        atomic.write_text(csv, comparison.as_csv(rows))
    if markdown:
        atomic.write_text(markdown, comparison.as_markdown(header, cells))
    folder = out or comparison.common_folder(runs) / "comparison"
    written = out is not None or not atomic.is_read_only(folder)
    if written:
        terminal.say(f"in {folder}: {', '.join(comparison.save_curves(runs, folder))}")
    else:
        terminal.say(f"{folder.parent} is read-only: no pictures; --out DIR writes them elsewhere")
    terminal.result({"runs": rows, "folder": str(folder) if written else None})


def _cells(rows: Iterable[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return the table's header and rows of cells; accuracies are per cent."""
    header = [
        "run", "data", "train %", "val %", "test %", "last %", "best", "parameters", "MFLOPs",
        "examples/s", "seconds",
    ]  # fmt: skip
    accuracies = ("train", "validation", "test", "last_test")
    cells = [
        [
            row["run"],
            row["dataset"],
            *(_hundredths(row[f"{name}_accuracy"]) for name in accuracies),
            f"{row['best_epoch']}/{row['epochs']}",
            f"{row['parameters']:,}",
            f"{row['flops'] / 1e6:.2f}",
            f"{row['examples_per_second']:,.0f}",
            f"{row['seconds']:,.0f}",
        ]
        for row in rows
    ]
    return header, cells


def _hundredths(share: float | None) -> str:
    return NOT_MEASURED if share is None else f"{100 * share:.2f}"


def _print_differences(terminal: Terminal, runs: Sequence["Run"]) -> None:
    from kmixer.evaluation import comparison

    differences = comparison.differences(runs)
    if not 0 < len(differences) <= MOST_DIFFERENCES:
        return
    terminal.say("settings that differ, in the table's order:")
    for key, values in differences.items():
        terminal.say(f"  {key:<{max(map(len, differences))}}  {', '.join(map(str, values))}")
