"""What the steps of `kmixer.exporting.steps` mean, in NumPy and in double precision.

Numbers after their description, as an engine in another language would read them.
"""

import json

import numpy as np
from scipy.special import erf, expit, softmax

ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "tanh": np.tanh,
    "silu": lambda x: x * expit(x),
    "gelu": lambda x: x / 2 * (1 + erf(x / 2**0.5)),
    "gelu_tanh": lambda x: x / 2 * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))),
}


def run_steps(description, weights, image):
    """Return the probabilities of one uint8 image.

    Args:
        description: what `describe` returns first.
        weights: what it returns second.
        image: `(height, width, channels)`.
    """
    numbers = np.frombuffer(weights, "<f4").astype(np.float64)
    values = [image.astype(np.float64)]
    for step in json.loads(json.dumps(description))["steps"]:
        arrays = {
            name: numbers[value["offset"] :][: np.prod(value["shape"])].reshape(value["shape"])
            for name, value in step.items()
            if isinstance(value, dict)
        }
        x = values[-1].reshape(step["input_shape"])
        y = STEPS[step["kind"]](x, step | arrays, values)
        assert y.shape == tuple(step["shape"]), (step["kind"], y.shape)
        values.append(y)
    return values[-1]


def _affine(x, step, values):
    sides = [1] * x.ndim
    sides[step["axis"]] = -1
    return x * step["scale"].reshape(sides) + step["offset"].reshape(sides)


def _pad(x, step, values):
    borders = [*step["rows"]], [*step["columns"]]
    x = np.pad(x, [*[[max(side, 0) for side in border] for border in borders], [0, 0]])
    (top, bottom), (left, right) = [[max(-side, 0) for side in border] for border in borders]
    return x[top : len(x) - bottom, left : x.shape[1] - right]


def _patches(x, step, values):
    size, stride = step["size"], step["stride"]
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(0, 1))
    windows = np.moveaxis(
        windows[::stride, ::stride], 2, 4
    )  # (rows, columns, size, size, channels)
    return windows.reshape(*windows.shape[:2], -1)


def _convolution(x, step, values):
    return _product(_patches(x, step, values), step, 2)


def _dense(x, step, values):
    return _product(x, step, step["axis"])


def _product(x, step, axis):
    y = np.moveaxis(x, axis, -1) @ step["kernel"]
    y = y if step["bias"] is None else y + step["bias"]
    return np.moveaxis(y, -1, axis)


def _layer_norm(x, step, values):
    scale = 1 / np.sqrt(x.var(-1, keepdims=True) + step["epsilon"])
    return (x - x.mean(-1, keepdims=True)) * scale * step["gamma"] + step["beta"]


def _shift(x, step, values):
    rows, columns, _ = x.shape
    padded, y = np.pad(x, [(1, 1), (1, 1), (0, 0)]), np.empty_like(x)
    for down, right, first, end in step["groups"]:
        y[..., first:end] = padded[1 + down :, 1 + right :, first:end][:rows, :columns]
    return y


def _max_pool(x, step, values):
    size, (rows, columns, channels) = step["size"], step["shape"]
    squares = x[: rows * size, : columns * size].reshape(rows, size, columns, size, channels)
    return squares.max((1, 3))


STEPS = {
    "affine": _affine,
    "pad": _pad,
    "patches": _patches,
    "convolution": _convolution,
    "dense": _dense,
    "layer_norm": _layer_norm,
    "activation": lambda x, step, values: ACTIVATIONS[step["name"]](x),
    "add": lambda x, step, values: x + values[step["other"]].reshape(x.shape),
    "shift": _shift,
    "mean": lambda x, step, values: x.reshape(-1, x.shape[-1]).mean(0),
    "max_pool": _max_pool,
    "softmax": lambda x, step, values: softmax(x),
}
