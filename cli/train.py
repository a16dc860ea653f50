"""`kmixer train` and `kmixer resume`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import STARTED
from .image_options import SIZE, read_size
from .loading import command_line, load_recipe, read_data, start
from .starts import START_HELP
from .terminal import Backend, DataDir, Dataset, Json, Quiet, Set, Terminal, folder_name, option

if TYPE_CHECKING:
    from kmixer.config import Settings
    from kmixer.runs.run import Run

_MODEL, _TRAINING, _RUN = "Model", "Training", "Run folder"


Text = str | None  # a flag whose text the settings check, so that errors name the setting's path


def _flag(help_text: str, panel: str, metavar: str) -> Any:
    return option(help_text, panel, metavar=metavar)


def train(
    dataset: Dataset,
    preset: Annotated[
        str | None, typer.Option(help="A shipped preset; default: the data set's own, if any.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A YAML file of settings.")] = None,
    start_from: Annotated[
        str | None,
        typer.Option("--start", metavar="NAME", help=START_HELP),
    ] = None,
    blocks: Annotated[Text, _flag("Number of Mixer blocks.", _MODEL, "INT")] = None,
    patch_size: Annotated[Text, _flag("Side of a patch in pixels.", _MODEL, "INT")] = None,
    patch_stride: Annotated[Text, _flag("Pixels between patches.", _MODEL, "INT")] = None,
    hidden_dim: Annotated[Text, _flag("Channels of a token.", _MODEL, "INT")] = None,
    tokens_mlp_dim: Annotated[Text, _flag("Hidden width of token mixing.", _MODEL, "INT")] = None,
    channels_mlp_dim: Annotated[
        Text, _flag("Hidden width of channel mixing.", _MODEL, "INT")
    ] = None,
    dropout: Annotated[Text, _flag("Inside the MLPs.", _MODEL, "SHARE")] = None,
    epochs: Annotated[Text, _flag("Passes over the training images.", _TRAINING, "INT")] = None,
    batch_size: Annotated[Text, _flag("Images per step.", _TRAINING, "INT")] = None,
    optimizer: Annotated[
        Text, _flag("adam, adamw, sgd, rmsprop, lion or muon.", _TRAINING, "NAME")
    ] = None,
    learning_rate: Annotated[Text, _flag("Its peak.", _TRAINING, "FLOAT")] = None,
    weight_decay: Annotated[Text, _flag("Decoupled.", _TRAINING, "FLOAT")] = None,
    schedule: Annotated[Text, _flag("constant, exponential or cosine.", _TRAINING, "NAME")] = None,
    class_weights: Annotated[
        Text, _flag("balanced: every class counts the same; none.", _TRAINING, "NAME")
    ] = None,
    seed: Annotated[Text, _flag("Of weights, order and augmentation.", _TRAINING, "INT")] = None,
    precision: Annotated[
        Text, _flag("float32, mixed_bfloat16, mixed_float16 or auto.", _TRAINING, "NAME")
    ] = None,
    distribute: Annotated[Text, _flag("auto: over all devices; none.", _TRAINING, "NAME")] = None,
    jit: Annotated[
        bool | None, option("Compile with XLA; default: as measured.", _TRAINING, "--jit/--no-jit")
    ] = None,
    steps_per_execution: Annotated[Text, _flag("Steps at once.", _TRAINING, "INT")] = None,
    image_size: Annotated[Text, _flag("To resize images to.", _TRAINING, SIZE)] = None,
    fit: Annotated[
        Text, _flag("crop, pad or stretch images of another shape.", _TRAINING, "NAME")
    ] = None,
    backend: Backend = None,
    data_dir: DataDir = None,
    assignments: Set = None,
    name: Annotated[str | None, option("Of the run folder.", _RUN, callback=folder_name)] = None,
    out: Annotated[Path | None, option("The run folder itself.", _RUN)] = None,
    tensorboard: Annotated[
        bool | None, option("Write TensorBoard logs too.", _RUN, "--tensorboard")
    ] = None,
    checkpoint_every: Annotated[
        Text, _flag("Steps, or a time such as 10m.", _RUN, "INT|TIME")
    ] = None,
    resume: Annotated[
        bool, option("Go on with the run of these settings, if it was begun.", _RUN, "--resume")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a classifier; everything about it lands in a new folder under saved_models/.

    Example: kmixer train fmnist --blocks 2
    """
    size, terminal = read_size(image_size), Terminal(quiet, as_json)
    flags = {
        "model.blocks": blocks,
        "model.patch_size": patch_size,
        "model.patch_stride": patch_stride,
        "model.hidden_dim": hidden_dim,
        "model.tokens_mlp_dim": tokens_mlp_dim,
        "model.channels_mlp_dim": channels_mlp_dim,
        "model.dropout": dropout,
        "training.epochs": epochs,
        "training.class_weights": class_weights,
        "training.seed": seed,
        "training.precision": precision,
        "training.distribute": distribute,
        "training.jit": jit,
        "training.steps_per_execution": steps_per_execution,
        "training.tensorboard": tensorboard,
        "training.checkpoint_every": checkpoint_every,
        "training.backend": backend,
        "data.batch_size": batch_size,
        "data.image_size": size,
        "data.fit": fit,
        "data.dir": data_dir,
        "optimizer.name": optimizer,
        "optimizer.learning_rate": learning_rate,
        "optimizer.weight_decay": weight_decay,
        "schedule.name": schedule,
    }
    preset, settings = load_recipe(
        dataset, preset, config, flags, assignments, terminal, start_from
    )
    train_and_show(preset, settings, name, out, terminal, resume)


def resume(
    run: Annotated[Path, typer.Argument(help="The folder of an interrupted run.")],
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Refuse where the result could differ in its last bits."),
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Go on with an interrupted run from its newest checkpoint.

    Example: kmixer resume saved_models/fmnist-1
    """
    from contextlib import nullcontext

    from kmixer.files.lock import folder_lock
    from kmixer.runs.asked import check_asked
    from kmixer.runs.resumable import check_unfinished
    from kmixer.runs.run import load_run

    opened = load_run(run)
    check_unfinished(opened)
    check_asked(opened)
    # Before anything slow is imported, one of two commands leaves; where several processes train
    # one run together, only the first of them asks for the lock, later.
    one_process = opened.settings.training.distribute == "none"
    with folder_lock(run) if one_process else nullcontext():
        terminal = Terminal(quiet, as_json)
        dataset = read_data(opened.settings, terminal)
        start(opened.settings.training.backend)
        from kmixer.training.train import resume

        _show(terminal, partial(resume, opened, dataset=dataset, strict=strict))


def train_and_show(
    preset: str | None, settings: "Settings", name: str | None, out: Path | None,
    terminal: Terminal, go_on: bool = False,
) -> None:  # fmt: skip
    """Train a run under a progress display and print its metrics; the arguments are `train`'s."""
    dataset = read_data(settings, terminal)
    start(settings.training.backend)
    from kmixer.training.train import train

    training = partial(
        train, settings, dataset=dataset, preset=preset, command=command_line(), name=name, out=out,
        go_on=go_on,
    )  # fmt: skip
    _show(terminal, training)


def _show(terminal: Terminal, training: Callable[..., "Run | None"]) -> None:
    from .progress import TrainingProgress

    progress = TrainingProgress(terminal)
    try:
        run = training(
            callbacks=[progress], on_start=progress.show_start, verbose=0, started=STARTED
        )
    finally:
        progress.close()
    if run is None:  # this process helped another one
        return
    progress.show_summary(run)
    terminal.result({"run": str(run.folder)} | run.metrics)
