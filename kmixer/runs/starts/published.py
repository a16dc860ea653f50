"""Published weights by name → a start; imports no Keras."""

from __future__ import annotations

from typing import Any

from ...config.image_size import LONGEST_SIDE
from ...errors import DataError, SettingsError
from ...models.published_weights import find_layout, read_shapes
from ...models.weight_names import Layout
from .. import provenance
from ..published_settings import mixer_arguments, published_settings, size_of, stem_channels
from ..run import FORMAT
from . import hub
from .catalogue import TIMM
from .names import Reference
from .start import Start
from .timm_config import TimmConfig, read_config

Shape = tuple[int, int, int]


def open_start(reference: Reference) -> Start:
    """Open published weights; they are fetched unless the cache has them.

    Sizes follow from the arrays' shapes, the normalisation of pixels from config.json.

    Args:
        reference: a repository of the Hub.

    Raises:
        DataError: see `hub.fetch`; or the weights are no Mixer's, or config.json contradicts them.
    """
    fetched = hub.fetch(reference, TIMM.get(reference.name.removeprefix("timm/")))
    pinned = Reference(reference.name, fetched.commit)
    shapes = read_shapes(fetched.weights)
    layout = find_layout(str(pinned), shapes)
    config = read_config(fetched.config, pinned)
    pixels = _pixels(config, stem_channels(shapes, layout), pinned)
    arguments = mixer_arguments(shapes, layout)
    try:
        settings, shape, classes = published_settings(shapes, layout, arguments, *pixels)
    except SettingsError as error:
        raise DataError(f"{pinned}: {error}") from None
    _check_shape(config, shape, classes, pinned)
    info = _info(pinned, fetched, layout, shape, size_of(arguments), config)
    labels = _labels(config, classes, pinned)
    weights, sha256 = fetched.weights, fetched.sha256
    return Start(weights.parent, settings, info, str(pinned), weights, sha256, layout, labels)


def _pixels(config: TimmConfig, channels: int, pinned: Reference) -> tuple[list[float], ...]:
    """Return mean and deviation, for each of the stem's channels."""
    given = config.pretrained_cfg
    for key, values in (("mean", given.mean), ("std", given.std)):
        if len(values) != channels:
            raise DataError(
                f"{pinned}: config.json: {key}: received {len(values)} values, but the weights are"
                f" for {channels} channels"
            )
    return given.mean, given.std


def _check_shape(config: TimmConfig, shape: Shape, classes: int, pinned: Reference) -> None:
    """Refuse a size that config.json contradicts, or that no run may have."""
    height, width, channels = shape
    stated = config.pretrained_cfg.input_size
    if stated is not None and stated != (channels, height, width):
        raise DataError(
            f"{pinned}: config.json: input_size: received {list(stated)}, but the weights are for"
            f" {[channels, height, width]}"
        )
    if max(height, width) > LONGEST_SIDE or classes < 2 or channels not in (1, 3):
        raise DataError(
            f"{pinned}: its arrays are for images of {height}×{width}×{channels} and {classes}"
            f" classes, expected sides up to {LONGEST_SIDE:,}, 1 or 3 channels, two or more classes"
        )


def _labels(config: TimmConfig, classes: int, pinned: Reference) -> tuple[str, ...]:
    names = config.label_names or config.pretrained_cfg.label_names
    if names is None:
        return tuple(f"class {index}" for index in range(classes))
    if len(names) != classes:
        raise DataError(
            f"{pinned}: config.json: label_names: received {len(names)} names, but the weights are"
            f" for {classes} classes"
        )
    return tuple(" ".join(name.split()) for name in names)


def _info(
    pinned: Reference, fetched: hub.Fetched, layout: Layout, shape: Shape, size: str | None,
    config: TimmConfig,
) -> dict[str, Any]:  # fmt: skip
    return {
        "format": FORMAT,
        "command": f"start {pinned}",
        "preset": None,
        "git_commit": None,
        "versions": provenance.versions(),
        "device": None,
        "dataset": None,
        "input_shape": list(shape),
        "imported": {
            "repository": pinned.name,
            "revision": fetched.commit,
            "file": fetched.weights.name,
            "sha256": fetched.sha256,
            "layout": layout.name,
            "size": size,
            "license": config.pretrained_cfg.license,
        },
    }
