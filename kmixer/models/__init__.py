"""Models: builders that return a `keras.Model`; they know neither settings nor TensorFlow."""

from .flops import count_flops
from .mixer import SIZES, MlpMixer, default_patch_size, mixer_size

__all__ = ["SIZES", "MlpMixer", "count_flops", "default_patch_size", "mixer_size"]
