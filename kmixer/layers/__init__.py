"""Keras layers of all-MLP models, on every backend: they compute with `keras.ops` only."""

from .activations import activation, gelu_tanh
from .block import Block
from .dropout import Dropout
from .initializers import initializer
from .mixer_block import MixerBlock
from .mlp_block import MlpBlock
from .patches import Patches, patch_grid
from .resident_images import ResidentImages
from .resize_crop import ResizeCrop, resize_weights
from .shift_block import ShiftBlock, SpatialShift
from .torch_training import Conv2D, Dense, LayerNormalization

__all__ = [
    "Block",
    "Conv2D",
    "Dense",
    "Dropout",
    "LayerNormalization",
    "MixerBlock",
    "MlpBlock",
    "Patches",
    "ResidentImages",
    "ResizeCrop",
    "ShiftBlock",
    "SpatialShift",
    "activation",
    "gelu_tanh",
    "initializer",
    "patch_grid",
    "resize_weights",
]
