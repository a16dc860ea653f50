"""Activations by name: Keras' own, and the tanh form of GELU that the original Mixer uses."""

import keras


@keras.saving.register_keras_serializable("kmixer")
def gelu_tanh(x):
    """GELU by its tanh approximation, as `flax.linen.gelu` computes it."""
    return keras.activations.gelu(x, approximate=True)


def activation(name):
    """Return the activation function of this name."""
    return gelu_tanh if name == "gelu_tanh" else keras.activations.get(name)
