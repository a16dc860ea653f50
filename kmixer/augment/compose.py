"""Augmentations made of other augmentations; each layer gets its own columns of the draws."""

from collections.abc import Iterator, Sequence
from typing import Any, Self

import keras

from .base import PACKAGE, Array, ImageAugmentation, namespace


class _Composed(ImageAugmentation):
    """An augmentation made of other ones.

    `own_draws` columns of the draws are for the choice between the layers; the layers' columns
    follow, in the layers' order.
    """

    own_draws = 0

    def __init__(self, layers: Sequence[ImageAugmentation], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layers = list(layers)
        self.draws = self.own_draws + sum(layer.draws for layer in self.layers)

    def single_augmentations(self) -> list[ImageAugmentation]:
        """Return the augmentations that this one is made of, those of inner ones included."""
        singles: list[ImageAugmentation] = []
        for layer in self.layers:
            singles += layer.single_augmentations() if isinstance(layer, _Composed) else [layer]
        return singles

    def _layers_and_draws(self, draws: Array) -> Iterator[tuple[ImageAugmentation, Array]]:
        """Yield each layer and its columns of the draws."""
        first = self.own_draws
        for layer in self.layers:
            yield layer, draws[:, first : first + layer.draws]
            first += layer.draws

    def get_config(self) -> dict[str, Any]:
        layers = [keras.saving.serialize_keras_object(layer) for layer in self.layers]
        return super().get_config() | {"layers": layers}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        layers = [keras.saving.deserialize_keras_object(layer) for layer in config["layers"]]
        return cls(**(config | {"layers": layers}))


@keras.saving.register_keras_serializable(PACKAGE)
class AugmentationPipeline(_Composed):
    """Several augmentations, one after the other.

    Args:
        layers: the `ImageAugmentation` layers.
    """

    def transform(self, images: Array, draws: Array) -> Array:
        for layer, layer_draws in self._layers_and_draws(draws):
            images = layer.transform(images, layer_draws)
        return images

    def mix_labels(self, labels: Array, draws: Array, size: tuple[int, int]) -> Array:
        for layer, layer_draws in self._layers_and_draws(draws):
            labels = layer.mix_labels(labels, layer_draws, size)
        return labels


@keras.saving.register_keras_serializable(PACKAGE)
class RandomChoice(_Composed):
    """At most one of several augmentations for each image.

    Args:
        layers: the `ImageAugmentation` layers.
        probabilities: one for each layer; what is missing to 1 is the probability of no change.

    Raises:
        ValueError: there is not one probability for each layer, one is negative, or their sum is
            more than 1.
    """

    own_draws = 1

    def __init__(
        self, layers: Sequence[ImageAugmentation], probabilities: Sequence[float], **kwargs: Any
    ) -> None:
        super().__init__(layers, **kwargs)
        in_range = min(probabilities, default=0) >= 0 and sum(probabilities) <= 1 + 1e-6
        if len(self.layers) != len(probabilities) or not in_range:
            raise ValueError(
                f"probabilities: received {probabilities} for {len(self.layers)} layers, expected"
                " one each, none below 0, and at most 1 together"
            )
        self.probabilities = list(probabilities)

    def transform(self, images: Array, draws: Array) -> Array:
        xp, result = namespace(images), images
        for mask, layer, layer_draws in self._choices(draws):
            changed = layer.transform(images, layer_draws)
            result = xp.where(mask[:, None, None, None], changed, result)
        return result

    def mix_labels(self, labels: Array, draws: Array, size: tuple[int, int]) -> Array:
        xp, result = namespace(labels), labels
        for mask, layer, layer_draws in self._choices(draws):
            mixed = layer.mix_labels(labels, layer_draws, size)
            result = xp.where(mask[:, None], mixed, result)
        return result

    def _choices(self, draws: Array) -> Iterator[tuple[Array, ImageAugmentation, Array]]:
        """Yield for each layer the mask `(batch,)` of its images, the layer, and its draws."""
        low = 0.0
        layers = self._layers_and_draws(draws)
        for probability, (layer, layer_draws) in zip(self.probabilities, layers, strict=True):
            mask = (draws[:, 0] >= low) & (draws[:, 0] < low + probability)
            yield mask, layer, layer_draws
            low += probability

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"probabilities": self.probabilities}
