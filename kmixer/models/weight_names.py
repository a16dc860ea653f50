"""How published files of Mixer weights name their arrays and order their axes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# Our layer, the original's (vit_jax/models_mixer.py) and timm's; {} is the block's number.
LAYERS = (
    ("stem", "stem", "stem.proj"),
    ("mixer_block_{}/token_norm", "MixerBlock_{}/LayerNorm_0", "blocks.{}.norm1"),
    ("mixer_block_{}/token_mixing/hidden",
     "MixerBlock_{}/token_mixing/Dense_0", "blocks.{}.mlp_tokens.fc1"),
    ("mixer_block_{}/token_mixing/output",
     "MixerBlock_{}/token_mixing/Dense_1", "blocks.{}.mlp_tokens.fc2"),
    ("mixer_block_{}/channel_norm", "MixerBlock_{}/LayerNorm_1", "blocks.{}.norm2"),
    ("mixer_block_{}/channel_mixing/hidden",
     "MixerBlock_{}/channel_mixing/Dense_0", "blocks.{}.mlp_channels.fc1"),
    ("mixer_block_{}/channel_mixing/output",
     "MixerBlock_{}/channel_mixing/Dense_1", "blocks.{}.mlp_channels.fc2"),
    ("pre_head_layer_norm", "pre_head_layer_norm", "norm"),
    ("head", "head", "head"),
)  # fmt: skip
WEIGHTS = (
    ("kernel", "/kernel", ".weight"), ("bias", "/bias", ".bias"),
    ("gamma", "/scale", ".weight"), ("beta", "/bias", ".bias"),
)  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """A library's names and axes for a Mixer's weights, and the activation that it uses.

    Attributes:
        name: of the layout.
        layers: the library's name of each of our layers.
        weights: the ending of the library's name for each weight of a layer.
        activation: of the MLPs; a name that `kmixer.layers.activation` knows.
        axes: by number of axes, our axes in the file's order; default our order.
    """

    name: str
    layers: Mapping[str, str]
    weights: Mapping[str, str]
    activation: str
    axes: Mapping[int, Sequence[int]]

    def file_name(self, path: str) -> str:
        """Return the file's name of our weight, such as `mixer_block_0/token_norm/gamma`."""
        layer, _, weight = path.rpartition("/")
        number = re.findall(r"mixer_block_(\d+)", layer)
        layer = self.layers[re.sub(r"mixer_block_\d+", "mixer_block_{}", layer)]
        return layer.format(*number) + self.weights[weight]

    def file_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape that a weight with our `shape` has in the file."""
        return tuple(shape[axis] for axis in self._axes(len(shape)))

    def our_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape that a weight with this shape in the file has with us."""
        return tuple(shape[axis] for axis in np.argsort(self._axes(len(shape))))

    def to_our_axes(self, array: np.ndarray) -> np.ndarray:
        """Return the file's array with its axes in our order."""
        return np.transpose(array, np.argsort(self._axes(array.ndim)))

    def _axes(self, count: int) -> Sequence[int]:
        return self.axes.get(count, tuple(range(count)))


def _layout(name: str, column: int, activation: str, axes: Mapping[int, Sequence[int]]) -> Layout:
    layers = {row[0]: row[column] for row in LAYERS}
    return Layout(name, layers, {row[0]: row[column] for row in WEIGHTS}, activation, axes)


LAYOUTS = (
    _layout("official", 1, "gelu_tanh", {}),
    _layout("timm", 2, "gelu", {4: (3, 2, 0, 1), 2: (1, 0)}),  # OIHW and (out, in), as torch has
)


class _Ours(Layout):
    def file_name(self, path: str) -> str:
        return path


OURS = _Ours("kmixer", {}, {}, "", {})  # of the starts that kmixer ships, whatever their family
