"""`kmixer verify`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .terminal import Backend, DataDir, Json, Quiet, Terminal

if TYPE_CHECKING:
    from kmixer.runs.run import Run


def verify(
    folder: Annotated[Path, typer.Argument(help="A run, or what `export` wrote: folder or file.")],
    key: Annotated[
        Path | None, typer.Option(help="The public key of the one who has to have signed it.")
    ] = None,
    backend: Backend = None,
    data_dir: DataDir = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Check a run or an export: its signature, its checksums, and its proof run again.

    A run is measured again on its test set. An export is opened by its runtime and asked again,
    about its example and, in its run's folder, about 256 images. Nothing is opened whose signature
    fails. Without --key no signature is asked for. What failed ends in exit code 1.

    Example: kmixer verify saved_models/fmnist-1/export/tflite --key theirs.pub
    """
    from kmixer.errors import RunError
    from kmixer.files import keys

    terminal = Terminal(quiet, as_json)
    public = None
    if key is not None:
        keys.check_installed()
        public = keys.read_public_key(key)
    from kmixer.publishing.signing import open_folder
    from kmixer.publishing.verify import verify as checks_of

    def begin(run: "Run") -> None:
        from kmixer.backend import choose

        from .loading import start

        step("starting Keras")
        choose(backend or run.settings.training.backend)
        start()

    opened = open_folder(folder)
    with terminal.status() as step:
        checks = checks_of(opened, public, data_dir=data_dir, begin=begin, on_step=step)
    for check in checks:
        terminal.say(f"{check.what:<10} {check.result:<12} {check.detail}")
    terminal.result({"folder": str(opened.folder), "checks": [asdict(check) for check in checks]})
    for check in checks:
        if check.result == "failed":
            problem = check.detail.removeprefix(f"{opened.folder}: ")
            raise RunError(f"{opened.folder}: the {check.what} failed: {problem}")
