"""Augmentations as a picture: the same images before and after."""

import keras
import numpy as np

from ..augment import augmentation
from ..config import (
    AugmentSettings,
    CutMixSettings,
    MixUpSettings,
    RandAugmentSettings,
    RandomErasingSettings,
    RandomResizedCropSettings,
)
from .order import epoch_plan

# Strong enough to see, for a picture of what there is.
VISIBLE = AugmentSettings(
    random_resized_crop=RandomResizedCropSettings(scale=(0.4, 0.8)),
    translation=0.2,
    horizontal_flip=1.0,
    rand_augment=RandAugmentSettings(magnitude=20),
    random_erasing=RandomErasingSettings(probability=1.0, scale=(0.05, 0.2)),
    mixup=MixUpSettings(alpha=1.0),
    cutmix=CutMixSettings(),
)


def augmented_rows(split, settings, count, seed, crop=None):
    """Return images as they are, after each augmentation, and after all of them together.

    Args:
        split: the `Split` to take images from.
        settings: `AugmentSettings`.
        count: images in a row.
        seed: of the draws.
        crop: what `models.ends.resize_crop` returns, for a last row of what the model is given.

    Returns:
        A dict by row of `count` uint8 images `(height, width, channels)`.
    """
    order, _ = epoch_plan(seed, 0, len(split), 0)
    images = split.images[order[:count]]
    rows = {"original": images}
    together = augmentation(settings)
    for layer in _leaves(together):
        rows[type(layer).__name__] = _apply(layer, images, seed)
    augmented = _apply(together, images, seed)
    if len(rows) > 2:
        rows["all together"] = augmented
    if crop:
        cropped = keras.ops.convert_to_numpy(crop(augmented))
        rows["resized and cropped"] = cropped.round().astype(np.uint8)
    return rows


def _leaves(layer):
    """Return the augmentations that this one is made of."""
    inner = getattr(layer, "layers", None)
    if inner is None:
        return [layer]
    return [leaf for each in inner for leaf in _leaves(each)]


def _apply(layer, images, seed):
    _, draws = epoch_plan(seed, 1, len(images), layer.draws)
    return layer.transform(images, draws)
