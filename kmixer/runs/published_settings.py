"""Settings of a Mixer from the shapes of its published arrays; imports no Keras."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count, takewhile
from typing import TYPE_CHECKING

from ..config import Settings, loading
from ..models.variants import SIZES, mixer_size

if TYPE_CHECKING:
    from ..models.published_weights import Shapes
    from ..models.weight_names import Layout

PAPER_SIDE, PAPER_CLASSES = 224, 1000
STEM = "stem/kernel"


def published_settings(
    shapes: Shapes, layout: Layout, arguments: Mapping[str, int],
    mean: Sequence[float] = (0.5,) * 3, std: Sequence[float] = (0.5,) * 3,
) -> tuple[Settings, tuple[int, int, int], int]:  # fmt: skip
    """Return the settings, input shape and number of classes that the arrays' shapes give.

    Args:
        shapes: of the file's arrays, by their names.
        layout: of those names.
        arguments: of `MlpMixer`: `mixer_size` or `mixer_arguments`.
        mean: of each channel of pixels scaled to 0..1, as the weights were trained with.
        std: likewise.
    """
    patch = arguments["patch_size"]
    biases = _in_every_block("token_mixing/output/bias", arguments["blocks"])
    tokens = _length(shapes, layout, biases, (PAPER_SIDE // patch) ** 2)
    side = max(math.isqrt(tokens), 1) * patch
    data = {"name": None, "image_size": side, "mean": list(mean), "std": list(std)}
    model = {"name": "mixer", "activation": layout.activation} | dict(arguments)
    settings = loading.build_settings({"data": data, "model": model})
    classes = _length(shapes, layout, ["head/bias"], PAPER_CLASSES)
    return settings, (side, side, len(mean)), classes


def mixer_arguments(shapes: Shapes, layout: Layout) -> dict[str, int]:
    """Return the arguments of `MlpMixer` that the arrays' shapes give; they are not checked."""
    side, _, _, hidden_dim = layout.our_shape(_stem(shapes, layout))
    norms = (layout.file_name(f"mixer_block_{number}/token_norm/gamma") for number in count())
    blocks = max(len(list(takewhile(shapes.__contains__, norms))), 1)
    widths = {
        f"{mlp}s_mlp_dim": _length(
            shapes, layout, _in_every_block(f"{mlp}_mixing/hidden/bias", blocks), 1
        )
        for mlp in ("token", "channel")
    }
    positive = {"patch_size": max(side, 1), "hidden_dim": max(hidden_dim, 1)}
    return positive | {"blocks": blocks} | widths


def size_of(arguments: Mapping[str, int]) -> str | None:
    """Return the name of the paper's size that has these arguments, or None."""
    return next((name for name in SIZES if mixer_size(name) == arguments), None)


def stem_channels(shapes: Shapes, layout: Layout) -> int:
    """Return the channels of the images that the stem takes."""
    return layout.our_shape(_stem(shapes, layout))[2]


def _stem(shapes: Shapes, layout: Layout) -> tuple[int, ...]:
    """Return the stem's shape in the file, of four axes, whatever the file holds."""
    shape = shapes.get(layout.file_name(STEM), ())
    return shape if len(shape) == 4 else (1, 1, 1, 1)


def _in_every_block(weight: str, blocks: int) -> list[str]:
    return [f"mixer_block_{block}/{weight}" for block in range(blocks)]


def _length(shapes: Shapes, layout: Layout, names: Sequence[str], default: int) -> int:
    """Return the most frequent length of the arrays of these names."""
    files = [name for name in map(layout.file_name, names) if name in shapes]
    lengths = Counter(math.prod(shapes[name]) for name in files)
    return max(lengths.most_common(1)[0][0], 1) if lengths else default
