"""`kmixer finetune`."""

from pathlib import Path
from typing import Annotated

import typer

from .image_options import SIZE, Fit, read_size
from .starts import START_HELP, open_start
from .terminal import Backend, DataDir, Dataset, Json, Quiet, Set, Terminal, folder_name


def finetune(
    start: Annotated[str, typer.Argument(help=START_HELP)],
    dataset: Dataset,
    freeze: Annotated[
        str | None, typer.Option(help="Layers that stay as they are, such as stem,blocks.0-5.")
    ] = None,
    layer_decay: Annotated[
        float | None, typer.Option(help="A block's learning rate as a share of the next one's.")
    ] = None,
    image_size: Annotated[
        str | None, typer.Option(metavar=SIZE, help="To resize to; default: the run's.")
    ] = None,
    fit: Fit = None,
    preset: Annotated[str, typer.Option(help="The recipe.")] = "finetune",
    config: Annotated[Path | None, typer.Option(help="A YAML file of settings.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Its peak, at the head.")] = None,
    backend: Backend = None,
    data_dir: DataDir = None,
    assignments: Set = None,
    name: Annotated[
        str | None, typer.Option(help="Of the run folder.", callback=folder_name)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder itself.")] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a run's model, or a published one, on another data set, with a new head.

    Example: kmixer finetune saved_models/photos-1 ./flowers --freeze stem --layer-decay 0.75
    """
    from .loading import load_settings
    from .train import train_and_show

    flags = {
        "finetune.freeze": freeze and [name.strip() for name in freeze.split(",") if name.strip()],
        "finetune.layer_decay": layer_decay,
        "training.epochs": epochs,
        "training.backend": backend,
        "optimizer.learning_rate": learning_rate,
        "data.dir": data_dir,
        "data.fit": fit,
    }
    size = read_size(image_size)
    terminal = Terminal(quiet, as_json)
    base = open_start(start, terminal).start_settings(size)  # before anything slow is imported
    recipe, settings = load_settings(dataset, preset, config, flags, assignments, base)
    train_and_show(recipe, settings, name, out, terminal)
