"""Show augmentations as a picture: the same images before and after."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ..augment import ImageAugmentation, augmentation
from ..config import AugmentSettings
from .dataset import Split
from .order import epoch_plan


def augmented_rows(
    split: Split,
    settings: AugmentSettings,
    count: int,
    seed: int,
    crop: Callable[[np.ndarray], Any] | None = None,
) -> dict[str, np.ndarray]:
    """Return images as they are, after each augmentation, and after all of them together.

    Args:
        split: where the images are taken from.
        settings: which augmentations, and how strong.
        count: images in a row.
        seed: of the choice of images and of the augmentations.
        crop: what `models.input_and_head.resize_crop` returns, for a last row of the images as the
            model sees them.

    Returns:
        For each row's title `count` images, uint8 `(count, height, width, channels)`.
    """
    order, _ = epoch_plan(seed, 0, len(split), 0)
    images = split.images[order[:count]]
    rows = {"original": images}
    pipeline = augmentation(settings)
    for layer in pipeline.single_augmentations():
        rows[type(layer).__name__] = _apply(layer, images, seed)
    augmented = _apply(pipeline, images, seed)
    if len(rows) > 2:
        rows["all together"] = augmented
    if crop:
        cropped = keras.ops.convert_to_numpy(crop(augmented))
        rows["resized and cropped"] = cropped.round().astype(np.uint8)
    return rows


def _apply(layer: ImageAugmentation, images: np.ndarray, seed: int) -> np.ndarray:
    _, draws = epoch_plan(seed, 1, len(images), layer.draws)
    return layer.transform(images, draws)
