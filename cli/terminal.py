"""What the commands print: tables and lines for people, one JSON object for programs."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout, the rest on stderr.")
]
Backend = Annotated[
    str | None,
    typer.Option(help="tensorflow, jax or torch; over KERAS_BACKEND, over keras.json."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any setting by its path; may be repeated."),
]
Dataset = Annotated[
    str, typer.Argument(help="A name of `kmixer data list`, tfds:NAME or an image folder.")
]
DataDir = Annotated[
    str | None, typer.Option(help="Where prepared data sets lie; over TFDS_DATA_DIR.")
]


def option(help_text: str, panel: str, *names: str, **options: Any) -> Any:
    """Return a `typer.Option` that `--help` shows in a panel of its own, without the default.

    Args:
        help_text: one line.
        panel: its heading.
        names: of the option, where they do not follow from the argument's.
        options: others of `typer.Option`.
    """
    return typer.Option(
        *names, help=help_text, rich_help_panel=panel, show_default=False, **options
    )


def folder_name(name):
    """Return the text of a `--name` option, if it is one of a folder, or None.

    Raises:
        SettingsError: it is empty, or leads elsewhere.
    """
    from kmixer.errors import SettingsError

    if name is not None and (name in {"", ".."} or Path(name).name != name):
        raise SettingsError(f"--name: received {name!r}, expected the name of a folder, no path")
    return name


WIDE = 120  # columns
PIPED_WIDTH = 1000  # a file or a pipe has no right edge


class Terminal:
    """Where a command's words go.

    Args:
        quiet: nothing but errors and JSON.
        as_json: one JSON object on stdout; everything else goes to stderr.
    """

    def __init__(self, quiet=False, as_json=False):
        from rich.console import Console

        self.as_json, self.quiet = as_json, quiet
        self.console = Console(stderr=as_json, quiet=quiet, highlight=False, soft_wrap=True)
        if not self.console.is_terminal and "COLUMNS" not in os.environ:
            self.console.width = PIPED_WIDTH

    @property
    def wide(self):
        """Whether wide tables fit."""
        return self.console.width >= WIDE

    def say(self, line=""):
        """Print a line."""
        self.console.print(line, markup=False)

    def table(self, title, columns, rows):
        """Print a table; the first column is text, the others are numbers."""
        from rich.table import Table
        from rich.text import Text

        table = Table(title=title, title_justify="left", header_style="bold")
        for index, column in enumerate(columns):
            kind = {"overflow": "fold"} if index == 0 else {"justify": "right", "no_wrap": True}
            table.add_column(Text(column), **kind)
        for row in rows:
            table.add_row(*(Text(str(cell)) for cell in row))
        self.console.print(table)

    def result(self, values):
        """Print the JSON object, if one was asked for."""
        if self.as_json:
            typer.echo(json.dumps(values))

    def bar(self, description):
        """Return a context manager that yields a function of (done, total) behind a bar."""
        return _bar(self.console, description)

    def status(self):
        """Return a context manager that yields a function of what is being done, shown live."""
        return _status(self.console)


def _status(console):
    from contextlib import contextmanager

    @contextmanager
    def showing():
        if not console.is_terminal:
            yield lambda doing: None
            return
        with console.status("") as status:
            yield status.update

    return showing()


def _bar(console, description):
    from contextlib import contextmanager

    from rich.progress import Progress

    @contextmanager
    def showing():
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task(description, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)

    return showing()


def percent(share):
    """Return a share as per cent with two places; a dash for None, what was not read."""
    return "–" if share is None else f"{100 * share:.2f} %"
