"""Small models of each form of each family, as sections `model` of the settings."""

import numpy as np

from kmixer import build_settings
from kmixer.config.model import Activation

MIXER = {
    "patch_size": 4,
    "blocks": 2,
    "hidden_dim": 8,
    "tokens_mlp_dim": [4, 5],
    "channels_mlp_dim": 8,
}
STAGES = [
    {"patch_size": 2, "patch_stride": 1, "dim": 9, "mlp_dim": 20, "blocks": 2},
    {"patch_size": 3, "patch_stride": 2, "dim": 14, "mlp_dim": 19, "blocks": 1},
]
# For images of 8 by 8 pixels.
FORMS = {
    "mixer": MIXER,
    "overlapping": MIXER | {"patch_stride": 2},
    "border dropped": MIXER | {"patch_stride": 3, "patch_border": "drop"},
    "border padded": MIXER | {"patch_stride": 3, "patch_border": "pad", "stem": "dense"},
    "dense stem, batch norm": MIXER | {"stem": "dense", "stem_norm": "batch", "patch_stride": 1},
    "post-norm": MIXER | {"norm_position": "post", "head_dropout": 0.1, "dropout": 0.1},
    "no norm, no skips": MIXER
    | {"norm_position": "none", "skip_connections": False, "block_dims": [6, 7]},
    "no norm before the head": MIXER | {"pre_head_layer_norm": False},
    "shift_mlp": {"name": "shift_mlp", "stages": STAGES, "head_dropout": 0.1},
    "mlp": {"name": "mlp", "hidden_dims": [5, 4], "dropout": 0.1},
    "mlp of patches": {"name": "mlp", "hidden_dims": [5], "patch_size": 2},
} | {
    f"mlp, {name}": {"name": "mlp", "hidden_dims": [9], "activation": name}
    for name in Activation.__args__
}  # fmt: skip
CNN_FORMS = {
    "cnn": {"name": "cnn", "hidden_dims": [6], "stages": [
        {"filters": 5, "kernel_size": 3, "batch_norm": True, "pool": 2},
        {"filters": 7, "kernel_size": 2, "activation": "leaky_relu", "pool": 3},
    ]},
    "cnn, padded": {"name": "cnn", "stages": [
        {"filters": 5, "kernel_size": 3, "padding": "valid", "batch_norm": True},
        {"filters": 4, "kernel_size": 4, "padding": [0, 2], "activation": "linear"},
    ]},
    "cnn of patches": {"name": "cnn", "patch_size": 2, "stages": [{"filters": 5}]},
}  # fmt: skip


def build_form(sections, shape, classes=10):
    """Return a model of these sections of settings with random weights, none of them 0 or 1."""
    from kmixer.models.factory import build_model

    statistics = {"mean": [0.3] * shape[-1], "std": [0.6] * shape[-1], "channels": shape[-1]}
    settings = build_settings(sections, {"data": statistics})
    model, generator = build_model(settings, shape, classes), np.random.default_rng(0)
    for weight in model.weights:
        if "float" in str(weight.dtype):
            weight.assign(weight + np.abs(generator.normal(0, 0.1, weight.shape)))
    return model
