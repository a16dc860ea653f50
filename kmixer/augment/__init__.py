"""Augmentations: layers that change a batch of images, each image by its own random numbers.

A layer turns images `(batch, height, width, channels)` and uniform random numbers `(batch, draws)`
into images of the same shape and dtype. The random numbers decide everything, so the same ones give
the same images in tf.data, inside the model, and in NumPy, under every backend. Called without
them, a layer draws its own from its seed. The code uses only functions that NumPy, Keras and
TensorFlow share; `namespace` returns the module that suits an array.
"""

from collections.abc import Callable
from typing import Any

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

# Setting → how its layer is built from `AugmentSettings`, in the order in which they are applied.
LAYERS: dict[str, Callable[[Any], ImageAugmentation]] = {
    "random_resized_crop": lambda s: RandomResizedCrop(**dict(s.random_resized_crop)),
    "translation": lambda s: RandomTranslation(s.translation, s.fill_mode),
    "horizontal_flip": lambda s: RandomHorizontalFlip(s.horizontal_flip),
    "rand_augment": lambda s: RandAugment(**dict(s.rand_augment)),
    "random_erasing": lambda s: RandomErasing(**dict(s.random_erasing)),
}
# Layers that mix two images. They come last, and an image is mixed by at most one of them.
MIXING_LAYERS: dict[str, Callable[[float], ImageAugmentation]] = {"cutmix": CutMix, "mixup": MixUp}


def augmentation(settings: Any) -> AugmentationPipeline:
    """Build the pipeline that `AugmentSettings` describe; it may be empty."""
    layers = [build(settings) for name, build in LAYERS.items() if getattr(settings, name)]
    sections = [(build, getattr(settings, name)) for name, build in MIXING_LAYERS.items()]
    mixing = [(build(section.alpha), section.probability) for build, section in sections if section]
    if mixing:
        choices, probabilities = zip(*mixing, strict=True)
        layers.append(RandomChoice(choices, probabilities))
    return AugmentationPipeline(layers)
