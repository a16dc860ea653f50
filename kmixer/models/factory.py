"""Settings → model."""

from contextlib import contextmanager

import keras

from ..layers import ResidentImages, patch_grid
from . import Cnn, Mlp, MlpMixer, ShiftMlp, default_patch_size

PIXELS = ("mean", "std", "resize_size", "crop_size")
BUILDERS = {"mixer": MlpMixer, "mlp": Mlp, "cnn": Cnn, "shift_mlp": ShiftMlp}


def build_model(settings, input_shape, classes):
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
    chosen = settings.model.model_dump()
    builder = BUILDERS[chosen.pop("name")]
    data = settings.data
    with _precision(settings.training.precision):
        pixels = {name: getattr(data, name) for name in PIXELS}
        return builder(input_shape, classes, **pixels, **chosen)


def with_patch_size(settings, side):
    """Return the settings with a Mixer's patch size chosen by the images' side, if it is open.

    Args:
        settings: `Settings`.
        side: of the images as stored; the model may resize and crop them.
    """
    model, data = settings.model, settings.data
    side = data.crop_size or data.resize_size or side
    if model.name != "mixer" or model.patch_size:
        return settings
    chosen = model.model_copy(update={"patch_size": default_patch_size(side)})
    return settings.model_copy(update={"model": chosen})


def token_grid(model, settings):
    """Return (rows, columns) of a Mixer's tokens; None where no weight depends on them.

    Args:
        model: the Keras model.
        settings: the `Settings` that it was built from.
    """
    chosen = settings.model
    if chosen.name != "mixer":
        return None
    pixels = model.get_layer("normalise").output.shape[1:3]  # after resizing and cropping
    return patch_grid(pixels, chosen.patch_size, chosen.patch_stride or chosen.patch_size)


def put_before(images, augmentation, model, precision):
    """Return a model of (indices, draws) that looks images up and augments them before `model`.

    It is built under the same precision: Keras decides by it whether to scale the loss.

    Args:
        images: uint8 `(n, height, width, channels)`, to lie on the accelerator.
        augmentation: an `ImageAugmentation`.
        model: images → logits.
        precision: a Keras dtype policy's name.
    """
    with _precision(precision):
        indices = keras.Input((), dtype="int32", name="indices")
        draws = keras.Input((augmentation.draws,), dtype="float32", name="draws")
        logits = model(augmentation(ResidentImages(images)(indices), draws))
        return keras.Model([indices, draws], logits, name="resident")


@contextmanager
def _precision(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
