"""`kmixer train` and `kmixer resume`."""

from pathlib import Path
from typing import Annotated

import typer

from . import STARTED
from .loading import command_line, load_settings, read_data, start
from .terminal import Backend, DataDir, Dataset, Json, Quiet, Set, Terminal, folder_name, option

# Which setting each flag sets.
FLAGS = {
    "blocks": "model.blocks",
    "patch_size": "model.patch_size",
    "patch_stride": "model.patch_stride",
    "hidden_dim": "model.hidden_dim",
    "tokens_mlp_dim": "model.tokens_mlp_dim",
    "channels_mlp_dim": "model.channels_mlp_dim",
    "dropout": "model.dropout",
    "epochs": "training.epochs",
    "seed": "training.seed",
    "precision": "training.precision",
    "distribute": "training.distribute",
    "jit": "training.jit",
    "steps_per_execution": "training.steps_per_execution",
    "tensorboard": "training.tensorboard",
    "checkpoint_every": "training.checkpoint_every",
    "backend": "training.backend",
    "batch_size": "data.batch_size",
    "image_size": "data.image_size",
    "data_dir": "data.dir",
    "optimizer": "optimizer.name",
    "learning_rate": "optimizer.learning_rate",
    "weight_decay": "optimizer.weight_decay",
    "schedule": "schedule.name",
}

_MODEL, _TRAINING, _RUN = "Model", "Training", "Run folder"


def _setting(help_text, panel, metavar):
    """A flag whose text the settings check, so that its error names path, received, expected."""
    return Annotated[str | None, option(help_text, panel, metavar=metavar)]


def train(
    dataset: Dataset,
    preset: Annotated[
        str | None, typer.Option(help="A shipped preset; default: the data set's own, if any.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A YAML file of settings.")] = None,
    blocks: _setting("Number of Mixer blocks.", _MODEL, "INT") = None,
    patch_size: _setting("Side of a patch in pixels.", _MODEL, "INT") = None,
    patch_stride: _setting("Pixels between patches.", _MODEL, "INT") = None,
    hidden_dim: _setting("Channels of a token.", _MODEL, "INT") = None,
    tokens_mlp_dim: _setting("Hidden width of token mixing.", _MODEL, "INT") = None,
    channels_mlp_dim: _setting("Hidden width of channel mixing.", _MODEL, "INT") = None,
    dropout: _setting("Inside the MLPs.", _MODEL, "SHARE") = None,
    epochs: _setting("Passes over the training images.", _TRAINING, "INT") = None,
    batch_size: _setting("Images per step.", _TRAINING, "INT") = None,
    optimizer: _setting("adam, adamw, sgd, rmsprop, lion or muon.", _TRAINING, "NAME") = None,
    learning_rate: _setting("Its peak.", _TRAINING, "FLOAT") = None,
    weight_decay: _setting("Decoupled.", _TRAINING, "FLOAT") = None,
    schedule: _setting("constant, exponential or cosine.", _TRAINING, "NAME") = None,
    seed: _setting("Of weights, order and augmentation.", _TRAINING, "INT") = None,
    precision: _setting("float32, mixed_bfloat16 or mixed_float16.", _TRAINING, "NAME") = None,
    distribute: _setting("auto: over all devices; none.", _TRAINING, "NAME") = None,
    jit: Annotated[
        bool | None, option("Compile with XLA; default: as measured.", _TRAINING, "--jit/--no-jit")
    ] = None,
    steps_per_execution: _setting("Steps at once.", _TRAINING, "INT") = None,
    image_size: _setting("Side to resize images to.", _TRAINING, "INT") = None,
    backend: Backend = None,
    data_dir: DataDir = None,
    assignments: Set = None,
    name: Annotated[str | None, option("Of the run folder.", _RUN, callback=folder_name)] = None,
    out: Annotated[Path | None, option("The run folder itself.", _RUN)] = None,
    tensorboard: Annotated[
        bool | None, option("Write TensorBoard logs too.", _RUN, "--tensorboard")
    ] = None,
    checkpoint_every: _setting("Steps, or a time such as 10m.", _RUN, "INT|TIME") = None,
    resume: Annotated[
        bool, option("Go on with the run of these settings, if it was begun.", _RUN, "--resume")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
):
    """Train a classifier; everything about it lands in a new folder under saved_models/.

    Example: kmixer train fmnist --blocks 2
    """
    flags = {FLAGS[key]: value for key, value in locals().items() if key in FLAGS}
    preset, settings = load_settings(dataset, preset, config, flags, assignments)
    train_and_show(preset, settings, name, out, Terminal(quiet, as_json), resume)


def resume(
    run: Annotated[Path, typer.Argument(help="The folder of an interrupted run.")],
    quiet: Quiet = False,
    as_json: Json = False,
):
    """Go on with an interrupted run from its newest checkpoint.

    Example: kmixer resume saved_models/fmnist-1
    """
    from contextlib import nullcontext

    from kmixer.files.lock import folder_lock
    from kmixer.runs.resumable import check_unfinished
    from kmixer.runs.run import load_run

    opened = load_run(run)
    check_unfinished(opened)
    # Before anything slow is imported, one of two commands leaves; where several processes train
    # one run together, only the first of them asks for it, later.
    alone = opened.settings.training.distribute == "none"
    with folder_lock(run) if alone else nullcontext():
        dataset = read_data(opened.settings)
        start(opened.settings.training.backend)
        from kmixer.training.train import resume

        def fit(watcher):
            return resume(
                opened, dataset=dataset, watchers=[watcher], announce=watcher.announce,
                started=STARTED,
            )  # fmt: skip

        show(fit, Terminal(quiet, as_json))


def train_and_show(preset, settings, name, out, terminal, go_on=False):
    """Train a new run with these settings, or go on with the one that was begun; see `show`."""
    dataset = read_data(settings)
    start(settings.training.backend)
    from kmixer.training.train import train

    def fit(watcher):
        return train(
            settings, dataset=dataset, preset=preset, command=command_line(), name=name, out=out,
            go_on=go_on, watchers=[watcher], announce=watcher.announce, started=STARTED,
        )  # fmt: skip

    show(fit, terminal)


def show(fit, terminal):
    """Run `fit(watcher)`, a training, under a progress display; then print its figures."""
    from .progress import TrainingProgress

    watcher = TrainingProgress(terminal)
    try:
        run = fit(watcher)
    finally:
        watcher.close()
    if run is None:  # this process helped another one
        return
    watcher.summarise(run)
    terminal.result({"run": str(run.folder)} | run.metrics)
