"""The settings with a short name: options of the commands, and arguments of `kmixer.train`.

Imports nothing slow: the command line reads it for `--help`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import SettingsError, nearest

MODEL, TRAINING, IMAGES = "Model", "Training", "Images"


@dataclass(frozen=True)
class Option:
    """A setting with a short name.

    Attributes:
        path: of the setting.
        help: what it is, in one line.
        group: under which heading it is listed.
        metavar: what its value is; None: true or false.
        repeats: whether it may be given several times.
    """

    path: str
    help: str
    group: str
    metavar: str | None
    repeats: bool = False


OPTIONS: dict[str, Option] = {
    "blocks": Option("model.blocks", "Number of Mixer blocks.", MODEL, "INT"),
    "patch_size": Option("model.patch_size", "Side of a patch in pixels.", MODEL, "INT"),
    "patch_stride": Option("model.patch_stride", "Pixels between patches.", MODEL, "INT"),
    "hidden_dim": Option("model.hidden_dim", "Channels of a token.", MODEL, "INT"),
    "tokens_mlp_dim": Option("model.tokens_mlp_dim", "Hidden width of token mixing.", MODEL, "INT"),
    "channels_mlp_dim": Option(
        "model.channels_mlp_dim", "Hidden width of channel mixing.", MODEL, "INT"
    ),
    "dropout": Option("model.dropout", "Inside the MLPs.", MODEL, "SHARE"),
    "epochs": Option("training.epochs", "Passes over the training images.", TRAINING, "INT"),
    "batch_size": Option(
        "data.batch_size", "Images per step; auto: measured.", TRAINING, "INT|auto"
    ),
    "optimizer": Option(
        "optimizer.name", "adam, adamw, sgd, rmsprop, lion or muon.", TRAINING, "NAME"
    ),
    "learning_rate": Option("optimizer.learning_rate", "Its peak.", TRAINING, "FLOAT"),
    "weight_decay": Option("optimizer.weight_decay", "Decoupled.", TRAINING, "FLOAT"),
    "schedule": Option("schedule.name", "constant, exponential or cosine.", TRAINING, "NAME"),
    "class_weights": Option(
        "training.class_weights", "balanced: every class counts the same; none.", TRAINING, "NAME"
    ),
    "seed": Option("training.seed", "Of weights, order and augmentation.", TRAINING, "INT"),
    "precision": Option(
        "training.precision", "float32, mixed_bfloat16, mixed_float16 or auto.", TRAINING, "NAME"
    ),
    "distribute": Option("training.distribute", "auto: over all devices; none.", TRAINING, "NAME"),
    "jit": Option("training.jit", "Compile with XLA; default: as measured.", TRAINING, None),
    "steps_per_execution": Option(
        "training.steps_per_execution", "Steps at once.", TRAINING, "INT"
    ),
    "track": Option(
        "training.track",
        "Record it in mlflow, trackio or tensorboard too; may be repeated.",
        TRAINING,
        "NAME",
        repeats=True,
    ),
    "image_size": Option("data.image_size", "To resize images to.", IMAGES, "SIDE|HEIGHTxWIDTH"),
    "fit": Option("data.fit", "crop, pad or stretch images of another shape.", IMAGES, "NAME"),
}
# Not listed with the others, and options of nearly every command.
EVERYWHERE = {"backend": "training.backend", "data_dir": "data.dir"}


def by_path(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of options by their settings' paths; those that are None are left out.

    Args:
        given: values by option, such as `{"blocks": 2}`; a text is read as YAML later on.

    Raises:
        SettingsError: there is no such option.
    """
    found = {}
    for name, value in given.items():
        path = path_of(name)
        if path is None:
            raise SettingsError(f"{name}: no such option{nearest(name, [*OPTIONS, *EVERYWHERE])}")
        if value is not None:
            found[path] = value
    return found


def path_of(name: str) -> str | None:
    """Return the path of the setting that has this short name, or None."""
    return OPTIONS[name].path if name in OPTIONS else EVERYWHERE.get(name)
