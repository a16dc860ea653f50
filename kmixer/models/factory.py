"""Settings → model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import keras
import numpy as np

from .. import models
from ..layers import ResidentImages
from .patches import default_patches

if TYPE_CHECKING:
    from ..augment import AugmentationPipeline
    from ..config import Settings

PIXEL_SETTINGS = ("mean", "std", "resize_size", "crop_size")


def build_model(settings: Settings, input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Build the model that resolved settings describe, under their precision.

    Args:
        settings: resolved `Settings` (patch size, mean and std are set).
        input_shape: (height, width, channels).
        classes: number of classes.

    Returns:
        A `keras.Model`: uint8 images → float32 logits.

    Raises:
        SettingsError: the model does not fit the image.
    """
    builder = getattr(models, settings.model.builder)
    pixels = {name: getattr(settings.data, name) for name in PIXEL_SETTINGS}
    model = settings.model.model_dump(exclude={"name"}, exclude_none=True)
    with _precision(settings.training.precision):
        return builder(input_shape, classes, **pixels, **model)


def without_values(build: Callable[[], keras.Model]) -> keras.Model:
    """Return the model that `build()` builds, its weights with shapes but without values.

    It is built in a thread of its own: Keras keeps a list of the variables that have no values yet
    for each thread, and gives them values when the same thread builds its next model.
    """

    def built() -> keras.Model:
        with keras.StatelessScope(initialize_variables=False):
            return build()

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(built).result()


def with_patch_size(settings: Settings, height: int, width: int) -> Settings:
    """Return the settings with the patches chosen by the images' size, if their size is open.

    Args:
        settings: `Settings`.
        height: of the images as stored, in pixels; the model may resize and crop them.
        width: of the images as stored.

    Raises:
        SettingsError: no patches fit images of this size.
    """
    model, data = settings.model, settings.data
    if not model.patch_size_is_open:
        return settings
    side = data.crop_size or data.resize_size
    patches = default_patches(side or height, side or width)
    overlap = None if patches.stride == patches.size else patches.stride
    stride = getattr(model, "patch_stride", None) or overlap
    return settings.changed(model={"patch_size": patches.size, "patch_stride": stride})


def with_resident_images(
    images: np.ndarray, augmentation: AugmentationPipeline, model: keras.Model, precision: str
) -> keras.Model:
    """Return a model that looks images up on the accelerator and augments them before `model`.

    It is built under the same precision: Keras decides by it whether to scale the loss.

    Args:
        images: uint8 `(n, height, width, channels)`, copied to the accelerator.
        augmentation: an `AugmentationPipeline`.
        model: images → logits.
        precision: a Keras dtype policy's name.

    Returns:
        A `keras.Model`: indices int32 `(batch,)` and random numbers float32
        `(batch, augmentation.draws)` → logits.
    """
    with _precision(precision):
        indices = keras.Input((), dtype="int32", name="indices")
        draws = keras.Input((augmentation.draws,), dtype="float32", name="draws")
        logits = model(augmentation(ResidentImages(images)(indices), draws))
        return keras.Model([indices, draws], logits, name="resident")


@contextmanager
def _precision(policy: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if policy == "auto" else policy)  # not chosen yet
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
