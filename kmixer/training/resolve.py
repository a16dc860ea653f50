"""What settings leave open → what the data and the machine decide."""

from pathlib import Path

import keras
import numpy as np

from ..data import absolute_name
from ..errors import SettingsError
from ..models.factory import with_patch_size
from . import finetuning
from .distribution import ALONE
from .inputs import place


def resolve(settings, dataset, devices=ALONE):
    """Return the settings with everything filled in that depends on the data and the machine.

    Args:
        settings: `Settings`.
        dataset: their `Dataset`.
        devices: the `Devices` that share each batch.

    Raises:
        SettingsError: they contradict the data, the backend or the devices.
    """
    height, width, channels = dataset.image_shape
    settings = with_patch_size(settings, min(height, width))
    data, model, training = settings.data, settings.model, settings.training
    values = settings.model_dump()
    values["data"] |= {
        "name": absolute_name(data.name),
        "dir": data.dir and str(Path(data.dir).expanduser().resolve()),
        "image_size": data.image_size or (height if height == width else None),
        "validation_size": len(dataset.validation),
    }
    if not (data.mean and data.std):
        mean, std = _statistics(dataset.train.images)
        values["data"] |= {"mean": data.mean or mean, "std": data.std or std}
    values["augment"]["on"] = place(settings, dataset)
    name = keras.backend.backend()
    if name == "torch" and training.steps_per_execution != 1:
        raise SettingsError(
            f"training.steps_per_execution: received {training.steps_per_execution}, expected 1:"
            " Keras has no more on torch"
        )
    jit = name in model.jit_backends if training.jit is None else training.jit
    values["training"] |= {"backend": name, "jit": jit}
    if settings.finetune:
        finetuning.check_channels(settings, channels)
        values["finetune"]["run"] = str(Path(settings.finetune.run).resolve())
    for key in ("mean", "std"):
        if len(values["data"][key]) != channels:
            raise SettingsError(
                f"data.{key}: received {len(values['data'][key])} values, expected {channels}"
            )
    return _share(type(settings).model_validate(values), devices)


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


def _share(settings, devices):
    """Return resolved settings as the devices can train them.

    The batch becomes one that they share evenly: what is over is left out. On TensorFlow, whose
    mirrored variables XLA cannot reach, `jit` is off; and images that are mixed are mixed on the
    host, because a device has its part of the batch alone, and partners lie in others.

    Raises:
        SettingsError: there are more devices than images, or gradients are to be accumulated on
            several of TensorFlow's devices.
    """
    if devices.count == 1:
        return settings
    data = settings.data
    size = devices.even(data.batch_size)
    for name, images in (("batch_size", size), ("validation_size", data.validation_size)):
        if images < devices.count:
            raise SettingsError(
                f"data.{name}: received {getattr(data, name)}, expected at least one image for each"
                f" of the {devices.count} devices"
            )
    if keras.backend.backend() == "tensorflow":
        if settings.optimizer.gradient_accumulation_steps > 1:
            raise SettingsError(
                "optimizer.gradient_accumulation_steps: expected 1 on several of TensorFlow's"
                " devices: Keras cannot accumulate there"
            )
        on = "host" if _mixed_apart(settings) else settings.augment.on
        settings = settings.changed(training={"jit": False}, augment={"on": on})
    return settings.changed(data={"batch_size": size})


def _mixed_apart(settings):
    """Whether TensorFlow's devices would each mix the images of their own part of a batch."""
    augment, tensorflow = settings.augment, keras.backend.backend() == "tensorflow"
    return tensorflow and augment.on == "accelerator" and bool(augment.mixup or augment.cutmix)


def check_fit(settings, devices):
    """Refuse what the devices cannot share: a run that is resumed on other devices.

    Raises:
        SettingsError: the batch is no multiple of their number, or images would be mixed within
            each device's part of it.
    """
    if devices.count > 1 and _mixed_apart(settings):
        raise SettingsError(
            "augment.on: received 'accelerator' with mixup or cutmix, expected 'host' on several"
            " of TensorFlow's devices; go on with one of them visible"
        )
    size = settings.data.batch_size
    if size != devices.even(size):
        raise SettingsError(
            f"data.batch_size: received {size}, expected a multiple of the {devices.count} devices"
        )
