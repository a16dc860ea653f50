"""Start from a trained run: its weights on another grid of patches, frozen or slower layers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from ..errors import SettingsError
from ..layers import Block, resize_weights
from ..models.grids import token_grid
from ..runs.starts import resolve_start
from ..runs.starts.start import Start

if TYPE_CHECKING:
    from ..config import Settings
    from ..config.settings import FinetuneSettings

Grid = tuple[int, int]
Resizing = tuple[np.ndarray, np.ndarray]


def initial_weights(finetune: FinetuneSettings, model: keras.Model) -> dict[str, np.ndarray]:
    """Return the weights that a fine-tuning of a model starts from, by their paths.

    Every layer but the head starts from the run's. The head starts at zero, as in the paper's
    code: a random one would send gradients that are mostly noise through what was learnt. Where the
    grid of patches is another, the weights over tokens are interpolated (docs/adr/0013): the model
    then starts as one that resizes its tokens to the run's grid, mixes them there, and resizes them
    back.

    Args:
        finetune: the settings; they name the run to start from.
        model: the model to fine-tune; its weights need no values.

    Raises:
        RunError: the run cannot be read.
        SettingsError: its layers are not those of this model.
    """
    run = resolve_start(finetune.run, finetune.sha256)
    source = run.load_model()
    source_weights = {weight.path: weight for weight in source.weights}
    resize = resizing(token_grid(source), token_grid(model))
    return {
        weight.path: np.zeros(weight.shape, np.float32)
        if weight.path.startswith("head/")
        else _initial_value(finetune.run, source_weights.get(weight.path), weight, resize)
        for weight in model.weights
    }


def recorded(finetune: FinetuneSettings) -> dict[str, Any]:
    """Return what config.yaml records of the run to start from, so that the same is found again.

    A folder is absolute; a start by name has the revision and the SHA-256 that were fetched.

    Raises:
        KmixerError: see `resolve_start`.
    """
    named = resolve_start(finetune.run, finetune.sha256).start_settings()["finetune"]
    return dict(named)


def start_info(settings: Settings) -> dict[str, Any]:
    """Return what the section `run` of config.yaml says of a start by name; of a folder nothing."""
    if not settings.finetune:
        return {}
    start = resolve_start(settings.finetune.run, settings.finetune.sha256)
    return {"start": start.record} if isinstance(start, Start) else {}


def assign_weights(model: keras.Model, weights: dict[str, np.ndarray]) -> None:
    """Move weights into a model; `weights` is empty afterwards, which frees its memory."""
    for weight in model.weights:
        weight.assign(weights.pop(weight.path))


def check_channels(settings: Settings, channels: int) -> None:
    """Refuse images whose channels are not those of the run to start from.

    Args:
        settings: `Settings` with a section `finetune`, and with `data.mean`.
        channels: of the images.

    Raises:
        SettingsError: see above.
    """
    assert settings.finetune and settings.data.mean
    expected = len(settings.data.mean)
    if expected != channels:
        raise SettingsError(
            f"{settings.data.name}: received images of {channels} channels (1: grey, 3: colour),"
            f" expected {expected}, as {settings.finetune.run} knows them"
        )


def freeze(finetune: FinetuneSettings, model: keras.Model) -> None:
    """Freeze the layers that `finetune.freeze` names: `stem`, `blocks.0-5`, or a layer's name.

    Raises:
        SettingsError: there is no such layer, or it is the head.
    """
    for name in finetune.freeze:
        for layer in _layers_named(model, name):
            layer.trainable = False


def learning_rate_multipliers(model: keras.Model, layer_decay: float) -> dict[str, float]:
    """Return what the learning rate of each weight is multiplied by, by the weight's path.

    What comes after the blocks trains at the full rate, each block at `layer_decay` times that of
    the block after it, and a stem at that of the block it leads to (layer-wise decay, as in
    arXiv 2106.08254, appendix).

    Raises:
        SettingsError: the model has no blocks, and `layer_decay` is not 1.
    """
    if layer_decay != 1 and not any(isinstance(layer, Block) for layer in model.layers):
        raise SettingsError(
            f"finetune.layer_decay: received {layer_decay}, expected 1: this model has no blocks"
        )
    multipliers: dict[str, float] = {}
    multiplier = 1.0
    for layer in reversed(model.layers):
        multiplier *= layer_decay if isinstance(layer, Block) else 1.0
        multipliers |= {weight.path: multiplier for weight in layer.weights}
    return multipliers


def resizing(old: Grid | None, new: Grid | None) -> Resizing | None:
    """Return the matrices that resize tokens, bilinearly, between two grids.

    Args:
        old: (rows, columns) of the run's patches; None: its model has no patches.
        new: of this model's.

    Returns:
        (down, up): down `(old tokens, new tokens)`, up `(new tokens, old tokens)`; None where the
        grids agree, or a model has none.
    """
    if old is None or new is None or old == new:
        return None
    return _resizing_matrix(new, old), _resizing_matrix(old, new)


def _resizing_matrix(start: Grid, end: Grid) -> np.ndarray:
    rows, columns = (resize_weights(a, b, b) for a, b in zip(start, end, strict=True))
    return np.kron(rows, columns)


def on_new_grid(path: str, value: np.ndarray, down: np.ndarray, up: np.ndarray) -> np.ndarray:
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


def _layers_named(model: keras.Model, name: str) -> list[keras.layers.Layer]:
    """Return the layers that a name in `finetune.freeze` stands for."""
    blocks = [layer for layer in model.layers if isinstance(layer, Block)]
    layers = {layer.name: [layer] for layer in model.layers if layer.weights}
    del layers["head"]  # it starts at zero: frozen, it would let no gradient through
    span = re.fullmatch(r"blocks\.(\d+)(?:-(\d+))?", name)
    if span:
        first, last = int(span[1]), int(span[2] or span[1])
        if first <= last < len(blocks):
            return list(blocks[first : last + 1])
    if name not in layers:
        spans = [f"blocks.0-{len(blocks) - 1}"] if blocks else []
        raise SettingsError(
            f"finetune.freeze: received {name!r}, expected {', '.join([*spans, *layers])}; the head"
            " starts afresh"
        )
    return layers[name]


def _initial_value(start: str, source: Any, weight: Any, resize: Resizing | None) -> np.ndarray:
    """Return the value of a weight, taken from the source run's weight of the same path."""
    if source is None:
        raise SettingsError(f"finetune.run: {start} has no weights {weight.path}")
    value = keras.ops.convert_to_numpy(source)
    if resize and "/token_mixing/" in weight.path:
        value = on_new_grid(weight.path, value, *resize)
    elif resize and weight.path.startswith("stem_norm/"):
        value = resize[1] @ value
    if value.shape != tuple(weight.shape):
        raise SettingsError(
            f"finetune.run: {start}: {weight.path} has the shape {value.shape}, expected"
            f" {tuple(weight.shape)}"
        )
    return np.asarray(value)
