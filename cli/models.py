"""`kmixer models`."""

from pathlib import Path
from typing import Annotated

import typer

from .terminal import Json, Quiet, Terminal


def models(
    name: Annotated[
        str | None, typer.Argument(help="Show this one: a size such as b16, or a preset.")
    ] = None,
    image_size: Annotated[int | None, typer.Option(min=1, help="Side in pixels.")] = None,
    classes: Annotated[int | None, typer.Option(min=2, help="Number of logits.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where the diagram of NAME goes; default NAME.png.")
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
):
    """List every architecture with parameters, FLOPs and patch grid, or show one.

    Example: kmixer models b16 --image-size 224 --classes 1000
    """
    from kmixer.files import atomic

    from .loading import start

    if name is not None and out is not None:
        atomic.check_writable(out)  # before anything slow is imported
    start()
    from kmixer.evaluation import model_table

    terminal = Terminal(quiet, as_json)
    if name is not None:
        _show(terminal, model_table.architecture(name, image_size, classes), out)
        return
    found = []
    with terminal.bar("building") as progress:
        for done, each in enumerate(names := model_table.names(), 1):
            found.append(_describe(model_table, each, image_size, classes))
            progress(done, len(names))
    columns = ["architecture", "input", "patch grid", "classes", "parameters", "MFLOPs"]
    terminal.table(None, columns, [[row["name"], *_cells(row)] for row in found])
    terminal.result({"models": found})


def _describe(catalogue, name, image_size, classes):
    from kmixer.errors import SettingsError

    try:
        return catalogue.architecture(name, image_size, classes).describe()
    except SettingsError as error:
        return {"name": name, "misfit": str(error)}


def _cells(row):
    if "misfit" in row:
        return ["does not fit", *"–" * 4]
    return [
        _times(row["input_shape"]),
        " → ".join(map(_times, row["patch_grids"])) or "–",
        str(row["classes"]),
        f"{row['parameters']:,}",
        f"{row['flops'] / 1e6:,.1f}",
    ]


def _times(sides):
    return "×".join(map(str, sides))


def _show(terminal, architecture, out):
    from kmixer.evaluation import figures
    from kmixer.models.diagram import diagram

    facts = architecture.describe()
    _, grid, _, parameters, flops = _cells(facts)
    out = out or Path(f"{architecture.name}.png")
    title = f"{architecture.name}: {parameters} parameters, {flops} MFLOPs"
    figures.save(diagram(architecture.model, title), out)
    architecture.model.summary(print_fn=terminal.say)
    terminal.say(f"{title}, patch grid {grid}")
    terminal.say(f"diagram: {out}")
    terminal.result(facts | {"diagram": str(out)})
