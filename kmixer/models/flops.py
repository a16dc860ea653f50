"""What a model costs: floating-point operations per image, from its layers' shapes."""

import math

import keras

from ..layers import MixerBlock, ShiftBlock


def count_flops(model):
    """Return the operations of one image's forward pass: 2 per multiply-add of the matrices.

    Norms, activations and additions are left out, as is usual.

    Raises:
        TypeError: a layer with weights is of a kind whose cost is not known.
    """
    return sum(_flops(layer) for layer in model.layers)


def _flops(layer):
    if isinstance(layer, MixerBlock):
        return _mixer_block(layer)
    if isinstance(layer, ShiftBlock):
        positions = math.prod(layer.input.shape[1:-1])
        return 2 * positions * sum(math.prod(d.kernel.shape) for d in (layer.hidden, layer.project))
    if isinstance(layer, keras.layers.Dense | keras.layers.Conv2D):
        positions = math.prod(layer.output.shape[1:-1])
        return 2 * positions * math.prod(layer.kernel.shape)
    norms = keras.layers.LayerNormalization | keras.layers.BatchNormalization
    if layer.count_params() and not isinstance(layer, norms):
        raise TypeError(f"count_flops: the cost of a {type(layer).__name__} is not known")
    return 0


def _mixer_block(block):
    _, tokens, channels = block.input.shape
    mlps = ((block.token_mixing, channels), (block.channel_mixing, tokens))
    kernels = sum(
        positions * (math.prod(mlp.hidden.kernel.shape) + math.prod(mlp.output_dense.kernel.shape))
        for mlp, positions in mlps
    )
    return 2 * kernels
