"""Models: builders that return a `keras.Model`; they know neither settings nor TensorFlow."""

from .cnn import Cnn
from .flops import count_flops
from .mixer import SIZES, MlpMixer, default_patch_size, mixer_size, token_grid
from .mlp import Mlp

__all__ = [
    "SIZES",
    "Cnn",
    "Mlp",
    "MlpMixer",
    "count_flops",
    "default_patch_size",
    "mixer_size",
    "token_grid",
]
