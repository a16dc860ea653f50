"""`kmixer finetune`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .setting_options import with_setting_options
from .terminal import START_HELP, Dataset, Json, Quiet, Set, Terminal, folder_name

# The start's model stays as it is.
OF_THE_MODEL = (
    "blocks", "patch_size", "patch_stride", "hidden_dim", "tokens_mlp_dim", "channels_mlp_dim",
    "dropout",
)  # fmt: skip


@with_setting_options(without=OF_THE_MODEL)
def finetune(
    start: Annotated[str, typer.Argument(help=START_HELP)],
    dataset: Dataset,
    freeze: Annotated[
        str | None, typer.Option(help="Layers that stay as they are, such as stem,blocks.0-5.")
    ] = None,
    layer_decay: Annotated[
        float | None, typer.Option(help="A block's learning rate as a share of the next one's.")
    ] = None,
    preset: Annotated[str, typer.Option(help="The recipe.")] = "finetune",
    config: Annotated[Path | None, typer.Option(help="A YAML file of settings.")] = None,
    assignments: Set = None,
    name: Annotated[
        str | None, typer.Option(help="Of the run folder.", callback=folder_name)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder itself.")] = None,
    quiet: Quiet = False,
    as_json: Json = False,
    *,
    options: dict[str, Any],
) -> None:
    """Train a run's model, or a published one, on another data set, with a new head.

    Example: kmixer finetune saved_models/photos-1 ./flowers --freeze stem --layer-decay 0.75
    """
    from kmixer.training.request import open_start

    from .loading import hush_downloads, load_settings
    from .train import train_and_show

    layers = freeze and [name.strip() for name in freeze.split(",") if name.strip()]
    given = options | {"finetune.freeze": layers, "finetune.layer_decay": layer_decay}
    size = given.pop("data.image_size", None)  # the start's model takes it
    terminal = Terminal(quiet, as_json)
    hush_downloads(terminal)
    # Before anything slow is imported.
    base = open_start(start, terminal.say).start_settings(size)
    recipe, settings = load_settings(dataset, preset, config, given, assignments, base)
    train_and_show(recipe, settings, name, out, terminal)
