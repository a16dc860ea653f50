"""`kmixer push`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .terminal import Backend, Json, Quiet, Terminal

if TYPE_CHECKING:
    from kmixer.runs.run import Run


def push(
    run: Annotated[Path, typer.Argument(help="A finished run folder.")],
    to: Annotated[
        str | None,
        typer.Option(metavar="USER/NAME", help="Upload it to this repository; default: do not."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write; default: hub/ in the run's.")
    ] = None,
    license_name: Annotated[
        str | None,
        typer.Option("--license", help="Of the model, as the Hub names it: mit, apache-2.0, …"),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="A new repository is shown to nobody else.")
    ] = False,
    backend: Backend = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write a run as the Hugging Face Hub expects a model; with --to, upload it.

    The folder holds the card with its metadata, the run, its exports, signatures, and the model as
    keras.saving.load_model reads it, from the folder and from the Hub. Without --to nothing leaves
    this machine. With it the Hub's client needs a token: hf auth login, or HF_TOKEN.

    Example: kmixer push saved_models/fmnist-1 --to USER/NAME --license mit
    """
    from kmixer.publishing import hub_folder

    terminal = Terminal(quiet, as_json)
    hub_folder.check_license(license_name)
    if to is not None:
        from kmixer.publishing.upload import check_uploadable

        check_uploadable(to)
    opened = _open(run, out)

    def begin(run: "Run") -> None:
        from kmixer.backend import choose

        from .loading import start

        choose(backend or run.settings.training.backend)
        start()

    with terminal.status() as step:
        step("writing")
        folder = hub_folder.write_hub_folder(
            opened, out=out, repository=to, license_name=license_name, begin=begin
        )
    files = _print_files(terminal, folder)
    if place := hub_folder.private_names(opened):
        terminal.say(f"note: its settings and its card name the folder of its images, {place}")
    if license_name is None:
        terminal.say("note: without --license NAME nobody is told that they may use it")
    terminal.result(
        {"folder": str(folder), "files": files, "address": _upload(terminal, folder, to, private)}
    )


def _open(run: Path, out: Path | None) -> "Run":
    """Return a run whose folder for the Hub can be written."""
    from kmixer.errors import RunError
    from kmixer.files import atomic
    from kmixer.publishing.hub_folder import FOLDER
    from kmixer.runs.run import load_run

    opened = load_run(run)
    if out is None and atomic.is_read_only(opened.folder / FOLDER):
        raise RunError(f"{run} is read-only: name another place for the folder with --out DIR")
    return opened


def _print_files(terminal: Terminal, folder: Path) -> dict[str, int]:
    """Print what a folder holds; return the bytes of its files by their names."""
    files = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    terminal.table(None, ["file", "bytes"], [[n, f"{size:,}"] for n, size in files.items()])
    terminal.say(f"in {folder}: {len(files)} files, {sum(files.values()):,} bytes")
    return files


def _upload(terminal: Terminal, folder: Path, to: str | None, private: bool) -> str | None:
    """Upload the folder where a repository is named; return the repository's address."""
    if to is None:
        terminal.say("nothing was uploaded; --to USER/NAME does")
        return None
    from kmixer.publishing.upload import upload

    from .loading import hush_downloads

    hush_downloads(terminal)
    terminal.say(f"uploading to {to}")
    address = upload(folder, to, private)
    terminal.say(f"uploaded: {address}")
    return address
