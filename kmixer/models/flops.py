"""What a model costs: floating-point operations per image, from its layers' shapes."""

import math

import keras

from ..layers import Block
from ..layers.block import matmul_flops


def count_flops(model: keras.Model) -> int:
    """Return the operations of one image's forward pass: 2 per multiply-add of the matrices.

    Norms, activations and additions are left out, as is usual.

    Args:
        model: a functional model; its variables need no values.

    Raises:
        TypeError: a layer with weights is of a kind whose cost is not known.

    Example:
        >>> from kmixer.models import Mlp
        >>> count_flops(Mlp((28, 28, 1), 10, hidden_dims=[100]))
        158800
    """
    return sum(_layer_flops(layer) for layer in model.layers)


def _layer_flops(layer: keras.layers.Layer) -> int:
    if isinstance(layer, Block):
        return layer.flops()
    if isinstance(layer, keras.layers.Dense | keras.layers.Conv2D):
        return matmul_flops(math.prod(layer.output.shape[1:-1]), layer)
    norms = keras.layers.LayerNormalization | keras.layers.BatchNormalization
    if layer.count_params() and not isinstance(layer, norms):
        raise TypeError(f"count_flops: the cost of a {type(layer).__name__} is not known")
    return 0
