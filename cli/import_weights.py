"""`kmixer import-weights`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .terminal import Backend, Json, Quiet, Terminal, folder_name

if TYPE_CHECKING:
    from kmixer.runs.run import Run

MINUS_ONE_TO_ONE = 0.5  # the mean and the std that scale pixels from 0..1 to -1..1


def import_weights(
    file: Annotated[
        Path, typer.Argument(help="The original's .npz, or timm's .safetensors, of an MLP-Mixer.")
    ],
    size: Annotated[
        str | None,
        typer.Option(help="s32, s16, b32, b16, l32, l16 or h14; default: as the arrays are."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Class names, one a line; default: class 0, class 1, …")
    ] = None,
    mean: Annotated[
        float, typer.Option(help="Of pixels/255; timm's miil weights have 0.")
    ] = MINUS_ONE_TO_ONE,
    std: Annotated[
        float, typer.Option(help="Of pixels/255; timm's miil weights have 1.")
    ] = MINUS_ONE_TO_ONE,
    name: Annotated[
        str | None,
        typer.Option(help="Of the run folder; default: mixer-SIZE-1, -2, …", callback=folder_name),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder itself.")] = None,
    backend: Backend = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Import published weights of one of the paper's Mixers into a run folder.

    Example: kmixer import-weights Mixer-B_16.npz
    """
    from kmixer.backend import choose
    from kmixer.models.published_weights import read_published
    from kmixer.models.variants import size_key

    from .loading import start

    choose(backend)
    if size is not None:
        size_key(size)
    published = read_published(file)  # before anything slow is imported
    start()
    from kmixer.runs.import_weights import import_weights

    terminal = Terminal(quiet, as_json)
    run = import_weights(
        published, size, labels=labels, mean=mean, std=std, name=name, out=out,
        command=_command(file, size, labels, mean, std),
    )  # fmt: skip
    _print(terminal, run)
    terminal.result({"run": str(run.folder)} | run.info["imported"])


def _command(file: Path, size: str | None, labels: Path | None, mean: float, std: float) -> str:
    """Return the command without the files' folders, which mean nothing on another machine."""
    words = ["kmixer", "import-weights", file.name, *(["--size", size] if size else [])]
    words += ["--labels", labels.name] if labels else []
    for flag, value in (("--mean", mean), ("--std", std)):
        words += [flag, f"{value:g}"] if value != MINUS_ONE_TO_ONE else []
    return shlex.join(words)


def _print(terminal: Terminal, run: "Run") -> None:
    imported, model = run.info["imported"], run.settings.model
    size = imported["size"] or "of no size of the paper"
    height, width, channels = run.info["input_shape"]
    terminal.say(
        f"file     {imported['file']}: {imported['layout']} layout, SHA-256"
        f" {imported['sha256'][:12]}…"
    )
    terminal.say(
        f"model    mixer {size}: {imported['parameters']:,} parameters,"
        f" {height}×{width}×{channels}, {len(run.class_names):,} classes, {model.activation}"
    )
    terminal.say(f"run      {run.folder}: config.yaml, labels.txt, model.keras")
    terminal.say(f"now      kmixer evaluate {run.folder} DATASET")
