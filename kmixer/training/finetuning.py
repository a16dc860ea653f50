"""Start from a trained run: its weights on another grid of patches, frozen or slower layers."""

import re
from pathlib import Path

import keras
import numpy as np

from ..errors import SettingsError
from ..layers import Block, resize_weights
from ..models.grids import token_grid
from ..runs.run import load_run


def load_weights(settings, model):
    """Put the weights of the run that `settings.finetune` names into a fresh model.

    Every layer but the head starts from the run's. The head starts at zero, as in the paper's
    code: a random one would send gradients that are mostly noise through what was learnt. Where the
    grid of patches is another, the weights over tokens are interpolated (docs/adr/0013): the model
    then starts as one that resizes its tokens to the run's grid, mixes them there, and resizes them
    back.

    Raises:
        RunError: the run cannot be read.
        SettingsError: its layers are not those of this model.
    """
    run = load_run(Path(settings.finetune.run))
    source = run.load_model()
    there = {weight.path: weight for weight in source.weights}
    resize = resizing(token_grid(source), token_grid(model))
    for weight in model.weights:
        if weight.path.startswith("head/"):
            weight.assign(np.zeros(weight.shape))
        else:
            _copy(run, there.get(weight.path), weight, resize)


def check_channels(settings, channels):
    """Refuse images whose channels are not those of the run to start from.

    Raises:
        SettingsError: see above.
    """
    known = len(settings.data.mean)
    if known != channels:
        raise SettingsError(
            f"{settings.data.name}: received images of {channels} channels (1: grey, 3: colour),"
            f" expected {known}, as {settings.finetune.run} knows them"
        )


def freeze(settings, model):
    """Freeze the layers that `finetune.freeze` names: `stem`, `blocks.0-5`, or a layer's name.

    Raises:
        SettingsError: there is no such layer, or it is the head.
    """
    for name in settings.finetune.freeze:
        for layer in _named(model, name):
            layer.trainable = False


def learning_rate_shares(model, decay):
    """Return by weight's path the share of the learning rate it trains with.

    What comes after the blocks has all of it, each block `decay` times that of the block after it,
    and a stem that of the block it leads to (layer-wise decay, as in arXiv 2106.08254, appendix).

    Raises:
        SettingsError: the model has no blocks, and `decay` is not 1.
    """
    if decay != 1 and not any(isinstance(layer, Block) for layer in model.layers):
        raise SettingsError(
            f"finetune.layer_decay: received {decay}, expected 1: this model has no blocks"
        )
    shares, share = {}, 1.0
    for layer in reversed(model.layers):
        share *= decay if isinstance(layer, Block) else 1.0
        shares |= {weight.path: share for weight in layer.weights}
    return shares


def resizing(old, new):
    """Return the matrices that resize tokens, bilinearly, between two grids.

    Args:
        old: (rows, columns) of the run's patches; None: its model has no patches.
        new: of this model's.

    Returns:
        (down, up): down `(old tokens, new tokens)`, up `(new tokens, old tokens)`; None where the
        grids agree, or a model has none.
    """
    if old == new or None in (old, new):
        return None
    down, up = (
        np.kron(*(resize_weights(a, b, b) for a, b in zip(start, end, strict=True)))
        for start, end in ((new, old), (old, new))
    )
    return down, up


def on_new_grid(path, value, down, up):
    """Return a weight of token mixing that mixes on the new grid as on the old.

    The tokens are, in effect, resized to the old grid, mixed there, and resized back.

    Args:
        path: of the weight.
        value: the run's.
        down: see `resizing`.
        up: see `resizing`.
    """
    if path.endswith("hidden/kernel"):  # (tokens, hidden)
        return down.T @ value
    if path.endswith("output/kernel"):  # (hidden, tokens)
        return value @ up.T
    return up @ value if path.endswith("output/bias") else value


def _named(model, name):
    blocks = [layer for layer in model.layers if isinstance(layer, Block)]
    layers = {layer.name: [layer] for layer in model.layers if layer.weights}
    del layers["head"]  # it starts at zero: frozen, it would let no gradient through
    span = re.fullmatch(r"blocks\.(\d+)(?:-(\d+))?", name)
    if span:
        first, last = int(span[1]), int(span[2] or span[1])
        if first <= last < len(blocks):
            return blocks[first : last + 1]
    if name not in layers:
        spans = [f"blocks.0-{len(blocks) - 1}"] if blocks else []
        raise SettingsError(
            f"finetune.freeze: received {name!r}, expected {', '.join([*spans, *layers])}; the head"
            " starts afresh"
        )
    return layers[name]


def _copy(run, source, weight, resize):
    if source is None:
        raise SettingsError(f"finetune.run: {run.folder} has no weights {weight.path}")
    value = keras.ops.convert_to_numpy(source)
    if resize and "/token_mixing/" in weight.path:
        value = on_new_grid(weight.path, value, *resize)
    elif resize and weight.path.startswith("stem_norm/"):
        value = resize[1] @ value
    if value.shape != tuple(weight.shape):
        raise SettingsError(
            f"finetune.run: {run.folder}: {weight.path} has the shape {value.shape}, expected"
            f" {tuple(weight.shape)}"
        )
    weight.assign(value)
