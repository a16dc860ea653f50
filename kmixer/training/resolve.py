"""Fill in what settings leave open: by the data, the backend and the devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np

from ..data import absolute_name
from ..data.dataset import data_folder
from ..data.stored_images import Images, blocks
from ..errors import SettingsError
from ..models.factory import with_patch_size
from ..runs import provenance
from . import finetuning
from .choices import choose_open
from .distribution import SINGLE_DEVICE, Devices

if TYPE_CHECKING:
    from ..config import DataSettings, Settings
    from ..data import Dataset

RESIDENT_BYTES = 4e9  # of images on the accelerator: small beside any accelerator's memory


def resolve(settings: Settings, dataset: Dataset, devices: Devices = SINGLE_DEVICE) -> Settings:
    """Return the settings with everything filled in that depends on the data and the machine.

    Args:
        settings: `Settings`.
        dataset: their `Dataset`.
        devices: the `Devices` that share each batch.

    Raises:
        SettingsError: they contradict the data, the backend or the devices.
    """
    height, width, channels = dataset.image_shape
    settings, _ = choose_open(settings, dataset)
    settings = with_patch_size(settings, height, width).changed(
        data=_open_data(settings.data, dataset),
        augment={"on": settings.augment.on or _image_location(dataset)},
        model=_open_activation(settings.model),
        training=_open_training(settings),
    )
    if settings.finetune:
        finetuning.check_channels(settings, channels)
        settings = settings.changed(finetune=finetuning.recorded(settings.finetune))
    _check_statistics(settings.data, channels)
    return _for_devices(type(settings).model_validate(settings.model_dump()), devices)


def _open_data(data: DataSettings, dataset: Dataset) -> dict[str, Any]:
    height, width, _ = dataset.image_shape
    values: dict[str, Any] = {
        "name": None if data.name is None else absolute_name(data.name),
        "dir": data.dir and str(data_folder(data.dir).resolve()),
        "image_size": data.image_size or (height if height == width else (height, width)),
        "validation_size": len(dataset.splits["validation"]),
    }
    if decoding := dataset.decoding:
        values |= {key: getattr(decoding, key) for key in ("fit", "channels", "white_level")}
    if not (data.mean and data.std):
        mean, std = measure_statistics(dataset.train.images)
        values |= {"mean": data.mean or mean, "std": data.std or std}
    return values


def _image_location(dataset: Dataset) -> Literal["host", "accelerator"]:
    """Return where images are augmented that `augment.on` leaves open."""
    fits = sum(split.images.nbytes for split in dataset.splits.values()) <= RESIDENT_BYTES
    return "accelerator" if fits and provenance.accelerators() else "host"


def _open_training(settings: Settings) -> dict[str, Any]:
    """Return backend and jit; the latter open where the precision is `auto`.

    Raises:
        SettingsError: Keras cannot execute several steps at once on this backend.
    """
    backend, training = keras.backend.backend(), settings.training
    if backend == "torch" and training.steps_per_execution != 1:
        raise SettingsError(
            f"training.steps_per_execution: received {training.steps_per_execution}, expected 1:"
            " Keras has no more on torch"
        )
    jit = training.jit
    if jit is None and training.precision != "auto":  # which decides on jit, too
        jit = backend in settings.model.jit_backends
    return {"backend": backend, "jit": jit}


def _open_activation(model: Any) -> dict[str, Any]:
    """Return the activation, where a family leaves it open."""
    if getattr(model, "activation", "") is not None:
        return {}
    return {"activation": model.fast_gelu(keras.backend.backend())}


def _check_statistics(data: DataSettings, channels: int) -> None:
    for key in ("mean", "std"):
        if len(values := getattr(data, key)) != channels:
            raise SettingsError(f"data.{key}: received {len(values)} values, expected {channels}")


def measure_statistics(images: Images) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation per channel of pixels/255, rounded to four places.

    Args:
        images: uint8 `(n, height, width, channels)`.
    """
    counts = sum(_count_levels(block) for block in blocks(images))
    levels = np.arange(256) / 255
    frequencies = counts / np.sum(counts, axis=1, keepdims=True)
    mean = frequencies @ levels
    std = np.sqrt(np.sum(frequencies * (levels - mean[:, None]) ** 2, axis=1))
    return [round(float(m), 4) for m in mean], [max(round(float(s), 4), 1e-4) for s in std]


def _count_levels(images: np.ndarray) -> np.ndarray:
    """Return how often each gray level occurs in each channel, `(channels, 256)`."""
    channels = np.moveaxis(images, -1, 0)
    return np.stack([np.bincount(channel.ravel(), minlength=256) for channel in channels])


def _for_devices(settings: Settings, devices: Devices) -> Settings:
    """Return resolved settings as the devices can train them.

    The batch becomes one that they share evenly: what is over is left out. On TensorFlow, whose
    mirrored variables XLA cannot reach, `jit` is off; and images that are mixed are mixed on the
    host, because a device has only its part of the batch, and an image's partner is in another.

    Raises:
        SettingsError: there are more devices than images, or gradients are to be accumulated on
            several of TensorFlow's devices.
    """
    if devices.count == 1:
        return settings
    data = settings.data
    size = devices.round_down(data.images_per_step)
    for name, images in (("batch_size", size), ("validation_size", data.validation_size or 0)):
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
        on = "host" if _mixes_within_devices(settings) else settings.augment.on
        settings = settings.changed(training={"jit": False}, augment={"on": on})
    return settings.changed(data={"batch_size": size})


def _mixes_within_devices(settings: Settings) -> bool:
    """Whether each of TensorFlow's devices would mix only the images of its part of a batch."""
    augment, tensorflow = settings.augment, keras.backend.backend() == "tensorflow"
    return tensorflow and augment.on == "accelerator" and bool(augment.mixing)


def check_devices(settings: Settings, devices: Devices) -> None:
    """Refuse to resume a run on devices that cannot share its batches.

    Raises:
        SettingsError: the batch is no multiple of their number, or images would be mixed within
            each device's part of it.
    """
    if devices.count > 1 and _mixes_within_devices(settings):
        raise SettingsError(
            "augment.on: received 'accelerator' with mixup or cutmix, expected 'host' on several"
            " of TensorFlow's devices; go on with one of them visible"
        )
    size = settings.data.images_per_step
    if size != devices.round_down(size):
        raise SettingsError(
            f"data.batch_size: received {size}, expected a multiple of the {devices.count} devices"
        )
