"""Start from a trained run: its weights on another grid of patches, frozen or slower layers."""

import re
from pathlib import Path

import keras
import numpy as np

from .errors import SettingsError
from .layers import MixerBlock, ShiftBlock, patch_grid, resize_weights
from .runs import load_run

BLOCKS = MixerBlock | ShiftBlock


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
    resize = resizing(_grid(source, run.settings), _grid(model, settings))
    for weight in model.weights:
        if weight.path.startswith("head/"):
            weight.assign(np.zeros(weight.shape))
        else:
            _copy(run, there.get(weight.path), weight, resize)


def freeze(settings, model):
    """Freeze the layers that `finetune.freeze` names: `stem`, `blocks.0-5`, or a layer's name.

    Raises:
        SettingsError: there is no such layer, or nothing would be left to train.
    """
    for name in settings.finetune.freeze:
        for layer in _named(model, name):
            layer.trainable = False
    if not model.trainable_weights:
        raise SettingsError("finetune.freeze: nothing is left to train")


def learning_rate_shares(model, decay):
    """Return by weight's path the share of the learning rate it trains with.

    What comes after the blocks has all of it, each block `decay` times that of the block after it,
    and a stem that of the block it leads to (layer-wise decay, as in arXiv 2106.08254, appendix).
    """
    shares, share = {}, 1.0
    for layer in reversed(model.layers):
        share *= decay if isinstance(layer, BLOCKS) else 1.0
        shares |= {weight.path: share for weight in layer.weights}
    return shares


def resizing(old, new):
    """Return the matrices that resize tokens, bilinearly, between two grids.

    Args:
        old: (rows, columns) of the run's patches.
        new: of this model's.

    Returns:
        (down, up): down `(old tokens, new tokens)`, up `(new tokens, old tokens)`; None where the
        grids agree.
    """
    if old == new:
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
    blocks = [layer for layer in model.layers if isinstance(layer, BLOCKS)]
    layers = {layer.name: [layer] for layer in model.layers if layer.weights}
    span = re.fullmatch(r"blocks\.(\d+)(?:-(\d+))?", name)
    if span and int(span[2] or span[1]) < len(blocks):
        return blocks[int(span[1]) : int(span[2] or span[1]) + 1]
    if name not in layers:
        raise SettingsError(
            f"finetune.freeze: received {name!r}, expected blocks.0-{len(blocks) - 1} or one of"
            f" {', '.join(layers)}"
        )
    return layers[name]


def _grid(model, settings):
    """Return (rows, columns) of a Mixer's tokens; None where no weight depends on them."""
    chosen = settings.model
    if chosen.name != "mixer":
        return None
    images = model.get_layer("normalise").output.shape[1:3]
    return patch_grid(images, chosen.patch_size, chosen.patch_stride or chosen.patch_size)


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
