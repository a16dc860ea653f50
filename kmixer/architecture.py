"""Settings → model."""

import keras

from .models import MlpMixer


def build_model(settings, input_shape, classes):
    """Build the model that resolved settings describe, under their precision.

    Args:
        settings: resolved `Settings` (patch size, mean and std are set).
        input_shape: (height, width, channels).
        classes: number of classes.

    Returns:
        A `keras.Model`: uint8 images → float32 logits.

    Raises:
        SettingsError: the patches do not fit the image.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(settings.training.precision)
    try:
        return MlpMixer(
            input_shape,
            classes,
            mean=settings.data.mean,
            std=settings.data.std,
            **settings.model.model_dump(),
        )
    finally:
        keras.config.set_dtype_policy(before)
