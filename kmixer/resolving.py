"""What settings leave open → what the data and the machine decide."""

from pathlib import Path

import keras
import numpy as np

from . import backend, feed, finetuning
from .data import SHORT_NAMES
from .errors import SettingsError
from .models.factory import with_patch_size


def resolve(settings, dataset):
    """Return the settings with everything filled in that depends on the data and the machine."""
    height, width, channels = dataset.image_shape
    settings = with_patch_size(settings, min(height, width))
    data, model, training = settings.data, settings.model, settings.training
    values = settings.model_dump()
    is_folder = data.name not in SHORT_NAMES and not data.name.startswith("tfds:")
    values["data"] |= {
        "name": str(Path(data.name).resolve()) if is_folder else data.name,
        "dir": data.dir and str(Path(data.dir).expanduser().resolve()),
        "image_size": data.image_size or (height if height == width else None),
        "validation_size": len(dataset.validation),
    }
    if not (data.mean and data.std):
        mean, std = _statistics(dataset.train.images)
        values["data"] |= {"mean": data.mean or mean, "std": data.std or std}
    values["augment"]["on"] = feed.place(settings, dataset)
    name = keras.backend.backend()
    if name == "torch" and training.steps_per_execution != 1:
        raise SettingsError(
            f"training.steps_per_execution: received {training.steps_per_execution}, expected 1:"
            " Keras has no more on torch"
        )
    jit = model.name in backend.JIT[name] if training.jit is None else training.jit
    values["training"] |= {"backend": name, "jit": jit}
    if settings.finetune:
        finetuning.check_channels(settings, channels)
        values["finetune"]["run"] = str(Path(settings.finetune.run).resolve())
    for key in ("mean", "std"):
        if len(values["data"][key]) != channels:
            raise SettingsError(
                f"data.{key}: received {len(values['data'][key])} values, expected {channels}"
            )
    return type(settings).model_validate(values)


def _statistics(images):
    """Return mean and standard deviation per channel of pixels/255, rounded to four places."""
    counts = sum(_level_counts(images[at : at + 1000]) for at in range(0, len(images), 1000))
    levels = np.arange(256) / 255
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ levels
    std = np.sqrt(np.sum(shares * (levels - mean[:, None]) ** 2, axis=1))
    return [round(float(m), 4) for m in mean], [max(round(float(s), 4), 1e-4) for s in std]


def _level_counts(images):
    """Return how often each grey level occurs in each channel, `(channels, 256)`."""
    channels = np.moveaxis(images, -1, 0)
    return np.stack([np.bincount(channel.ravel(), minlength=256) for channel in channels])
