"""Mixer weights as they are published, and forward passes in NumPy written from the sources."""

import re

import numpy as np
from safetensors.numpy import save_file
from scipy.special import erf

from kmixer.models import mixer_size
from kmixer.runs.import_weights import import_weights

TO_TIMM = {
    r"MixerBlock_(\d+)/": r"blocks.\1.", "LayerNorm_0": "norm1", "LayerNorm_1": "norm2",
    "token_mixing/Dense_0": "mlp_tokens.fc1", "token_mixing/Dense_1": "mlp_tokens.fc2",
    "channel_mixing/Dense_0": "mlp_channels.fc1", "channel_mixing/Dense_1": "mlp_channels.fc2",
    "stem/": "stem.proj/", "pre_head_layer_norm": "norm", "/kernel|/scale": ".weight",
    "/bias": ".bias",
}  # fmt: skip


def official(size, tokens=9, classes=5):
    """Random arrays in the original's layout; activations of about 1, logits up to about 8."""
    shape, random = mixer_size(size), np.random.default_rng(0)
    patch, hidden = shape["patch_size"], shape["hidden_dim"]

    def dense(*kernel):
        fan_in = np.prod(kernel[:-1])
        values = random.standard_normal(kernel, np.float32) / np.float32(np.sqrt(fan_in))
        return {"kernel": values, "bias": random.normal(0, 0.1, kernel[-1]).astype(np.float32)}

    def norm():
        scale, bias = random.normal(1, 0.1, hidden), random.normal(0, 0.1, hidden)
        return {"scale": scale.astype(np.float32), "bias": bias.astype(np.float32)}

    layers = {"stem": dense(patch, patch, 3, hidden)}
    for number in range(shape["blocks"]):
        block = f"MixerBlock_{number}/"
        for mlp, width, inner in (
            ("token_mixing", tokens, shape["tokens_mlp_dim"]),
            ("channel_mixing", hidden, shape["channels_mlp_dim"]),
        ):
            layers[f"{block}{mlp}/Dense_0"] = dense(width, inner)
            layers[f"{block}{mlp}/Dense_1"] = dense(inner, width)
        layers |= {f"{block}LayerNorm_0": norm(), f"{block}LayerNorm_1": norm()}
    layers |= {"pre_head_layer_norm": norm(), "head": dense(hidden, classes)}
    layers["head"]["kernel"] *= 5
    return {f"{layer}/{key}": value for layer, w in layers.items() for key, value in w.items()}


def as_timm(arrays):
    """The same in timm's names and axes."""
    axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}  # HWIO → OIHW, (in, out) → (out, in)
    renamed = {}
    for name, array in arrays.items():
        new_name = name
        for pattern, new in TO_TIMM.items():
            new_name = re.sub(pattern, new, new_name)
        renamed[new_name] = np.ascontiguousarray(array.transpose(axes[array.ndim]))
    return renamed


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def gelu(x):
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def layer_norm(x, scale, bias, epsilon=1e-6):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon) * scale + bias


def patches(images, side):
    """uint8 images → `(batch, tokens, row, column, channel)` of -1..1."""
    n, height, width, channels = images.shape
    x = images.astype(np.float64) / 255 * 2 - 1
    x = x.reshape(n, height // side, side, width // side, side, channels).swapaxes(2, 3)
    return x.reshape(n, -1, side, side, channels)


def official_logits(w, images, activation=gelu_tanh, epsilon=1e-6):
    """The forward pass of vit_jax/models_mixer.py."""

    def mlp(x, name):
        y = activation(x @ w[f"{name}/Dense_0/kernel"] + w[f"{name}/Dense_0/bias"])
        return y @ w[f"{name}/Dense_1/kernel"] + w[f"{name}/Dense_1/bias"]

    def norm(x, name):
        return layer_norm(x, w[f"{name}/scale"], w[f"{name}/bias"], epsilon)

    kernel = w["stem/kernel"]
    x = np.tensordot(patches(images, len(kernel)), kernel, 3) + w["stem/bias"]
    for number in range(sum(name.endswith("LayerNorm_0/bias") for name in w)):
        block = f"MixerBlock_{number}"
        y = norm(x, f"{block}/LayerNorm_0").swapaxes(1, 2)
        x = x + mlp(y, f"{block}/token_mixing").swapaxes(1, 2)
        x = x + mlp(norm(x, f"{block}/LayerNorm_1"), f"{block}/channel_mixing")
    x = norm(x, "pre_head_layer_norm").mean(1)
    return x @ w["head/kernel"] + w["head/bias"]


def timm_logits(w, images):
    """The forward pass of timm/models/mlp_mixer.py: kernels by outputs, GELU exact."""

    def mlp(x, name):
        y = gelu(x @ w[f"{name}.fc1.weight"].T + w[f"{name}.fc1.bias"])
        return y @ w[f"{name}.fc2.weight"].T + w[f"{name}.fc2.bias"]

    def norm(x, name):
        return layer_norm(x, w[f"{name}.weight"], w[f"{name}.bias"])

    x = patches(images, w["stem.proj.weight"].shape[-1])
    x = np.einsum("ntrci,oirc->nto", x, w["stem.proj.weight"], optimize=True) + w["stem.proj.bias"]
    for number in range(sum(name.endswith("norm1.bias") for name in w)):
        block = f"blocks.{number}"
        y = norm(x, f"{block}.norm1").swapaxes(1, 2)
        x = x + mlp(y, f"{block}.mlp_tokens").swapaxes(1, 2)
        x = x + mlp(norm(x, f"{block}.norm2"), f"{block}.mlp_channels")
    return norm(x, "norm").mean(1) @ w["head.weight"].T + w["head.bias"]


def write(path, arrays):
    """Write a file in the layout that its suffix has."""
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        save_file(arrays, path)
    return path


def pictures(side, count=2):
    return np.random.default_rng(1).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def imported(tmp_path, arrays=None, name="w.npz", **options):
    path = write(tmp_path / name, official("tiny") if arrays is None else arrays)
    return import_weights(path, "tiny", root=tmp_path / "runs", **options)
