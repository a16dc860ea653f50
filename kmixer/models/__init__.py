"""Models: builders that return a `keras.Model`; they know neither settings nor TensorFlow."""

from .cnn import Cnn
from .flops import count_flops
from .mixer import MlpMixer
from .mlp import Mlp
from .shift_mlp import ShiftMlp
from .variants import SIZES, default_patch_size, mixer_size, size_key

__all__ = [
    "SIZES",
    "Cnn",
    "Mlp",
    "MlpMixer",
    "ShiftMlp",
    "count_flops",
    "default_patch_size",
    "mixer_size",
    "size_key",
]
