"""Augmentations made of augmentations; the draws are dealt out in the layers' order."""

import keras

from .base import PACKAGE, ImageAugmentation, namespace


class _Composed(ImageAugmentation):
    own_draws = 0

    def __init__(self, layers, **kwargs):
        super().__init__(**kwargs)
        self.layers = list(layers)
        self.draws = self.own_draws + sum(layer.draws for layer in self.layers)

    def _dealt(self, draws):
        """Yield each layer and its draws."""
        used = self.own_draws
        for layer in self.layers:
            yield layer, draws[:, used : used + layer.draws]
            used += layer.draws

    def get_config(self):
        layers = [keras.saving.serialize_keras_object(layer) for layer in self.layers]
        return super().get_config() | {"layers": layers}

    @classmethod
    def from_config(cls, config):
        layers = [keras.saving.deserialize_keras_object(layer) for layer in config["layers"]]
        return cls(**(config | {"layers": layers}))


@keras.saving.register_keras_serializable(PACKAGE)
class AugmentationPipeline(_Composed):
    """Several augmentations, one after the other.

    Args:
        layers: the `ImageAugmentation` layers.
    """

    def transform(self, images, draws):
        for layer, dealt in self._dealt(draws):
            images = layer.transform(images, dealt)
        return images

    def mix_labels(self, labels, draws, size):
        for layer, dealt in self._dealt(draws):
            labels = layer.mix_labels(labels, dealt, size)
        return labels


@keras.saving.register_keras_serializable(PACKAGE)
class RandomChoice(_Composed):
    """At most one of several augmentations for each image.

    Args:
        layers: the `ImageAugmentation` layers.
        probabilities: of each; what is missing to 1 is the probability of none.

    Raises:
        ValueError: the probabilities are not one for each layer, negative, or more than 1 together.
    """

    own_draws = 1

    def __init__(self, layers, probabilities, **kwargs):
        super().__init__(layers, **kwargs)
        allowed = min(probabilities, default=0) >= 0 and sum(probabilities) <= 1 + 1e-6
        if len(self.layers) != len(probabilities) or not allowed:
            raise ValueError(
                f"probabilities: received {probabilities} for {len(self.layers)} layers, expected"
                " one each, none below 0, and at most 1 together"
            )
        self.probabilities = list(probabilities)

    def transform(self, images, draws):
        xp, result = namespace(images), images
        for chosen, (layer, dealt) in zip(self._chosen(draws), self._dealt(draws), strict=True):
            made = layer.transform(images, dealt)
            result = xp.where(chosen[:, None, None, None], made, result)
        return result

    def mix_labels(self, labels, draws, size):
        xp, result = namespace(labels), labels
        for chosen, (layer, dealt) in zip(self._chosen(draws), self._dealt(draws), strict=True):
            result = xp.where(chosen[:, None], layer.mix_labels(labels, dealt, size), result)
        return result

    def _chosen(self, draws):
        """Yield the mask of the images that each layer is chosen for."""
        low = 0.0
        for probability in self.probabilities:
            yield (draws[:, 0] >= low) & (draws[:, 0] < low + probability)
            low += probability

    def get_config(self):
        return super().get_config() | {"probabilities": self.probabilities}
