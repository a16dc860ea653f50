"""What the commands print: tables and lines for people, one JSON object for programs."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.text import Text

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
Preset = Annotated[
    str | None, typer.Option(help="A shipped preset; default: the data set's own, if any.")
]
Config = Annotated[Path | None, typer.Option(help="A YAML file of settings.")]
START_HELP = (
    "The folder of a run; a start that is shipped, such as cifar10-shift; or published weights:"
    " mixer-b16, a name of timm's, or OWNER/REPO on the Hugging Face Hub."
)


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


def folder_name(name: str | None) -> str | None:
    """Check the text of a `--name` option: it has to be the name of a folder.

    Raises:
        SettingsError: it is empty, or a path.
    """
    from kmixer.errors import SettingsError

    if name is not None and (name in {"", ".."} or Path(name).name != name):
        raise SettingsError(f"--name: received {name!r}, expected the name of a folder, no path")
    return name


def shown(text: object) -> "Text":
    """Return a text for Rich: `printable`, and brackets in it are no markup."""
    from rich.text import Text

    from kmixer.files.printable import printable

    return Text(printable(text))


def say_error(message: object) -> None:
    """Print a line on stderr: why something failed, whoever wrote the words."""
    from kmixer.files.printable import printable

    typer.echo(f"kmixer: {printable(message)}", err=True)


DELETE = "\x7f"  # the one control character that JSON leaves as it is
WIDE = 120  # columns
PIPED_WIDTH = 1000  # a file or a pipe has no right edge
LEAST_FIRST = 16  # columns of a table's first column, whose texts are folded between words


def print_json(values: Mapping[str, Any], indent: int | None = None) -> None:
    """Print a JSON object; what a terminal would obey is escaped."""
    typer.echo(json.dumps(values, indent=indent).replace(DELETE, r"\u007f"))


class Terminal:
    """What a command prints, and where.

    Args:
        quiet: print nothing but errors and JSON.
        as_json: print one JSON object on stdout, and everything else on stderr.
    """

    def __init__(self, quiet: bool = False, as_json: bool = False) -> None:
        from rich.console import Console

        self.as_json, self.quiet = as_json, quiet
        self.console = Console(stderr=as_json, quiet=quiet, highlight=False, soft_wrap=True)
        if not self.console.is_terminal and "COLUMNS" not in os.environ:
            self.console.width = PIPED_WIDTH

    @property
    def moves(self) -> bool:
        """Whether lines can be changed that are printed already; TERM=dumb cannot."""
        return self.console.is_interactive

    @property
    def wide(self) -> bool:
        """Whether wide tables fit."""
        return self.console.width >= WIDE

    def say(self, line: str = "") -> None:
        """Print a line."""
        self.console.print(shown(line))

    def say_text(self, text: str) -> None:
        """Print a text of several lines."""
        for line in text.split("\n"):
            self.say(line)

    def table(
        self,
        title: str | None,
        columns: Sequence[str],
        rows: Sequence[Sequence[object]],
        fold: bool = True,
    ) -> None:
        """Print a table; the first column is text, the others are numbers.

        Where the terminal is too narrow for it, each row is printed on lines of its own.

        Args:
            title: above it, or None.
            columns: their headings.
            rows: the cells of each.
            fold: whether the first column's texts may be folded.
        """
        from kmixer.files.printable import printable

        texts = [[printable(cell) for cell in row] for row in rows]
        if not self._fits([list(columns), *texts], fold):
            self._records(title, columns, texts)
            return
        from rich.table import Table

        table = Table(title=title and shown(title), title_justify="left", header_style="bold")
        for index, column in enumerate(columns):
            if index == 0:
                table.add_column(shown(column), overflow="fold")
            else:
                table.add_column(shown(column), justify="right", no_wrap=True)
        for row in texts:
            table.add_row(*map(shown, row))
        self.console.print(table)

    def tree(self, root: str, branches: Mapping[str, Sequence[str]]) -> None:
        """Print a tree of two levels below its root.

        Args:
            root: the text at the top.
            branches: the texts below each text below it.
        """
        from rich.tree import Tree

        tree = Tree(shown(root))
        for text, leaves in branches.items():
            branch = tree.add(shown(text))
            for leaf in leaves:
                branch.add(shown(leaf))
        self.console.print(tree, soft_wrap=False)

    def _fits(self, rows: Sequence[Sequence[str]], fold: bool) -> bool:
        from rich.cells import cell_len

        first, *others = (max(map(cell_len, cells)) for cells in zip(*rows, strict=True))
        if fold:
            words = (word for cells in rows for word in cells[0].split())
            first = max([min(first, LEAST_FIRST), *map(cell_len, words)])
        borders = 3 * len(others) + 4
        return first + sum(others) + borders <= self.console.width

    def _records(
        self, title: str | None, columns: Sequence[str], rows: Sequence[Sequence[str]]
    ) -> None:
        """Print the first cell of each row, and below it the others with their columns' names."""
        from rich.cells import cell_len

        if title:
            self.say(title)
        for first, *others in rows:
            self.say(first)
            line = ""
            for column, cell in zip(columns[1:], others, strict=True):
                item = f"  {column} {cell}"
                if line and cell_len(line + item) > self.console.width:
                    self.say(line)
                    line = ""
                line += item
            self.say(line)

    def result(self, values: Mapping[str, Any]) -> None:
        """Print the JSON object, if `--json` asks for it."""
        if self.as_json:
            print_json(values)

    @contextmanager
    def bar(self, description: str) -> Iterator[Callable[[int, int | None], object]]:
        """Show a progress bar; yield a function of (done, total) that moves it."""
        from rich.progress import Progress

        hidden = not self.moves
        with Progress(console=self.console, transient=True, disable=hidden) as progress:
            task = progress.add_task(description, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)

    @contextmanager
    def status(self) -> Iterator[Callable[[str], object]]:
        """Show a line that changes; yield a function that sets its text."""
        if not self.moves:
            yield lambda text: None
            return
        with self.console.status("") as status:
            yield lambda text: status.update(shown(text))


def percent(share: float | None) -> str:
    """Return a share as per cent with two decimals; a dash for None, which was not measured."""
    from kmixer.files import text

    return "–" if share is None else text.percent(share)
