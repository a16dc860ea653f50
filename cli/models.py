"""`kmixer models`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .image_options import Size, read_size
from .terminal import Json, Quiet, Terminal

if TYPE_CHECKING:
    import keras

    from kmixer.config.image_size import ImageSize

COLUMNS = (
    "architecture",
    "input",
    "patch grid",
    "classes",
    "parameters",
    "MFLOPs",
    "flash kB",
    "RAM kB",
)


def models(
    name: Annotated[
        str | None, typer.Argument(help="Show this one: a size such as b16, or a preset.")
    ] = None,
    image_size: Size = None,
    classes: Annotated[int | None, typer.Option(min=2, help="Number of logits.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where the diagram of NAME goes; default NAME.png.")
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """List every architecture with parameters, FLOPs and patch grid, or show one.

    Flash and RAM are what it would need on a microcontroller in 8-bit integers, estimated.

    Example: kmixer models b16 --image-size 224 --classes 1000
    """
    from kmixer.files import atomic

    if name is not None and out is not None:
        atomic.check_writable(out)  # before anything slow is imported
    size = read_size(image_size)
    terminal = Terminal(quiet, as_json)
    if name is not None:
        _show(terminal, name, size, classes, out)
    else:
        _list(terminal, size, classes)


def _list(terminal: Terminal, image_size: "ImageSize | None", classes: int | None) -> None:
    from kmixer.config.architectures import read_architectures
    from kmixer.runs.starts import start_descriptions

    is_known = image_size is None and classes is None
    rows = read_architectures() if is_known else _build_all(terminal, image_size, classes)
    terminal.table(None, COLUMNS, [[row["name"], *_cells(row)] for row in rows])
    starts = start_descriptions()
    terminal.table("to start from, by name", ("start", "what it is"), list(starts.items()))
    terminal.result({"models": rows, "starts": starts})


def _build_all(
    terminal: Terminal, image_size: "ImageSize | None", classes: int | None
) -> list[dict[str, Any]]:
    from .loading import start

    start()
    from kmixer.evaluation.model_table import architecture_names

    names, rows = architecture_names(), []
    with terminal.bar("building") as progress:
        for name in names:
            rows.append(_describe(name, image_size, classes))
            progress(len(rows), len(names))
    return rows


def _describe(name: str, image_size: "ImageSize | None", classes: int | None) -> dict[str, Any]:
    from kmixer.errors import SettingsError
    from kmixer.evaluation.model_table import architecture

    try:
        return architecture(name, image_size, classes).describe()
    except SettingsError as error:
        return {"name": name, "misfit": str(error)}


def _cells(row: Mapping[str, Any]) -> list[str]:
    """Return a row's cells after the name."""
    if "misfit" in row:
        return ["does not fit", *"–" * (len(COLUMNS) - 2)]
    return [
        _times(row["input_shape"]),
        " → ".join(map(_times, row["patch_grids"])) or "–",
        str(row["classes"]),
        f"{row['parameters']:,}",
        f"{row['flops'] / 1e6:,.1f}",
        f"{row['flash_bytes'] / 1e3:,.1f}",
        f"{row['arena_bytes'] / 1e3:,.1f}",
    ]


def _layers(model: "keras.Model") -> list[list[str]]:
    """Return a row for each layer, and one for all of them."""
    rows = [
        [
            f"{layer.name} ({type(layer).__name__})",
            _times(layer.output.shape[1:]),
            f"{layer.count_params():,}",
        ]
        for layer in model.layers
    ]
    return [*rows, ["all", "–", f"{model.count_params():,}"]]


def _times(sides: Sequence[int]) -> str:
    return "×".join(map(str, sides))


def _show(
    terminal: Terminal, name: str, image_size: "ImageSize | None", classes: int | None,
    out: Path | None,
) -> None:  # fmt: skip
    from .loading import start

    start()
    from kmixer.evaluation import figures
    from kmixer.evaluation.model_table import architecture as build
    from kmixer.models.diagram import diagram

    architecture = build(name, image_size, classes)
    row = architecture.describe()
    _, grid, _, parameters, flops, flash, ram = _cells(row)
    out = out or Path(f"{architecture.name}.png")
    title = f"{architecture.name}: {parameters} parameters, {flops} MFLOPs"
    figures.save(diagram(architecture.model, title), out)
    terminal.table(None, ("layer", "output", "parameters"), _layers(architecture.model))
    terminal.say(f"{title}, patch grid {grid}")
    terminal.say(
        f"on a microcontroller (--format micro): about {flash} kB of flash, {ram} kB of RAM"
    )
    terminal.say(f"diagram: {out}")
    terminal.result(row | {"diagram": str(out)})
