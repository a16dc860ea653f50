"""`kmixer report`."""

from pathlib import Path
from typing import Annotated

import typer

from .terminal import Backend, Json, Quiet, Terminal


def report(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Run folders, folders of runs, or globs of them."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="The file; default: report.html in or beside the runs.")
    ] = None,
    backend: Backend = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write one HTML file on a run, or on several side by side, that needs no network.

    Example: kmixer report saved_models/fmnist-1 --out report.html
    """
    from kmixer.errors import RunError
    from kmixer.evaluation.comparison import common_folder, find_runs
    from kmixer.files import atomic

    from .loading import start

    terminal = Terminal(quiet, as_json)
    finished = find_runs(runs, skipped=terminal.say)
    folder = finished[0].folder if len(finished) == 1 else common_folder(finished)
    path = out or folder / "report.html"
    if out is None and atomic.is_read_only(folder):
        raise RunError(f"{folder} is read-only: name another place with --out FILE")
    atomic.check_writable(path)  # before anything slow is imported
    start(backend or finished[0].settings.training.backend)
    from kmixer.evaluation.report import write_report

    with terminal.bar("measuring") as progress:
        write_report(finished, path, progress)
    terminal.say(f"{path}: {path.stat().st_size / 1e6:.1f} MB, {len(finished)} run(s)")
    terminal.result({"report": str(path), "runs": [str(run.folder) for run in finished]})
