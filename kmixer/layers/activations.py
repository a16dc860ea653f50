"""Activations by name: Keras' own, and the tanh form of GELU that the original Mixer uses."""

from collections.abc import Callable

import keras

from .types import Tensor


@keras.saving.register_keras_serializable("kmixer")
def gelu_tanh(x: Tensor) -> Tensor:
    """GELU by its tanh approximation, as `flax.linen.gelu` computes it (arXiv 1606.08415).

    Shape: unchanged.
    """
    return keras.activations.gelu(x, approximate=True)


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """Return the activation function with this name.

    Args:
        name: `"gelu_tanh"`, or a name that `keras.activations.get` knows.

    Raises:
        ValueError: Keras has no such activation.
    """
    return gelu_tanh if name == "gelu_tanh" else keras.activations.get(name)
