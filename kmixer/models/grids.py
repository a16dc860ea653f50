"""The grids on which a model's tokens lie, read off its layers."""

from collections.abc import Iterator

import keras

from ..layers import Block, Patches


def patch_grids(model: keras.Model) -> list[tuple[int, int]]:
    """Return (rows, columns) of the patches of each stem, in the order of the layers."""
    return list(_grids(model))


def _grids(model: keras.Model) -> Iterator[tuple[int, int]]:
    for layer in model.layers:
        if isinstance(layer, Patches):
            yield layer.grid(layer.input.shape)
        elif isinstance(layer, keras.layers.Conv2D) and layer.name.startswith("stem"):
            _, rows, columns, _ = layer.output.shape
            yield rows, columns


def token_grid(model: keras.Model) -> tuple[int, int] | None:
    """Return (rows, columns) of the tokens that weights mix; None if no weight depends on them."""
    blocks = [layer for layer in model.layers if isinstance(layer, Block)]
    if all(block.token_mixing_kernel() is None for block in blocks):
        return None
    return patch_grids(model)[0]
