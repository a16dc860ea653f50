"""Augmentations: batched image → image layers, every image with draws of its own.

Each layer turns `(batch, height, width, channels)` images and `(batch, draws)` uniform numbers
into images of the same shape and dtype; the draws decide everything, so the same draws give the
same images in tf.data, inside the model, and in NumPy, under every backend. Called without draws, a
layer takes its own from its seed. The code is written against the names that NumPy, Keras and
TensorFlow share; `namespace` says whose they are.
"""

from .base import ImageAugmentation
from .compose import AugmentationPipeline, RandomChoice
from .erasing import RandomErasing
from .geometry import RandomHorizontalFlip, RandomResizedCrop, RandomTranslation
from .mixup import CutMix, MixUp
from .rand_augment import RandAugment

__all__ = [
    "AugmentationPipeline",
    "CutMix",
    "ImageAugmentation",
    "MixUp",
    "RandAugment",
    "RandomChoice",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomTranslation",
    "augmentation",
]


def augmentation(settings):
    """Build the pipeline that `AugmentSettings` describe; it may be empty."""
    crop, erasing = settings.random_resized_crop, settings.random_erasing
    drawn = settings.rand_augment
    layers = []
    if crop:
        layers.append(RandomResizedCrop(crop.scale, crop.ratio))
    if settings.translation:
        layers.append(RandomTranslation(settings.translation, settings.fill_mode))
    if settings.horizontal_flip:
        layers.append(RandomHorizontalFlip(settings.horizontal_flip))
    if drawn:
        layers.append(RandAugment(drawn.num_ops, drawn.magnitude))
    if erasing:
        layers.append(RandomErasing(erasing.probability, erasing.scale, erasing.ratio))
    mixing = [
        (layer(chosen.alpha), chosen.probability)
        for layer, chosen in ((CutMix, settings.cutmix), (MixUp, settings.mixup))
        if chosen
    ]
    if mixing:
        layers.append(RandomChoice(*zip(*mixing, strict=True)))
    return AugmentationPipeline(layers)
