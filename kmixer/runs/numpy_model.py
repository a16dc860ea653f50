"""A run's model in NumPy: predicts a few images while a backend would still be starting.

The same mathematics as the Keras layers, in float32; the tests hold one against the other for every
family. What is not computed here (other layers, other precisions, much memory) is left to Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ..config.model import MixerSettings, MlpSettings, ShiftMlpSettings
from ..errors import RunError
from ..files.keras_archive import read_arrays
from ..models.patches import border_pixels
from .run import MODEL_FILE

if TYPE_CHECKING:
    from .run import Run

Array = np.ndarray
Forward = Callable[["_Weights", Any, Array], Array]
BATCH_NORM_EPSILON = 1e-3  # Keras' default
LEAKY_SLOPE = 0.2  # of `keras.activations.leaky_relu`
MOST_VALUES = 100_000_000  # of an array, for one image
MOST_IMAGES = 32  # more are classified sooner by a backend, its start included


class NumpyModel:
    """A run's model; one thread at a time may ask it.

    Args:
        run: a finished `Run`, of a family of `FAMILIES`.

    Raises:
        RunError: the weights cannot be read.
    """

    def __init__(self, run: Run) -> None:
        data, self._model = run.settings.data, run.settings.model
        self._forward, self._classes = FAMILIES[type(self._model)], len(run.class_names)
        self.weights = _Weights(read_arrays(run.folder / MODEL_FILE))
        self._mean, self._std = (np.array(v, np.float32) for v in (data.mean, data.std))

    def __call__(self, images: Array) -> Array:
        """Classify images, one by one, which takes little memory.

        Args:
            images: uint8 `(n, height, width, channels)`.

        Returns:
            float64 `(n, classes)`, each row of which sums to 1.
        """
        from scipy.special import softmax

        logits = np.concatenate([self._logits(image[None]) for image in images])
        return softmax(logits.astype(np.float64), axis=1)

    def before_the_mean(self, images: Array) -> tuple[Array, Array, Array]:
        """Return what is averaged for the head: float32 `(n, …, channels)`, over the middle axes.

        Args:
            images: uint8 `(n, height, width, channels)`.

        Returns:
            (that, the head's kernel `(channels, classes)`, its bias `(classes,)`).
        """
        x = (images.astype(np.float32) / 255 - self._mean) / self._std
        self.weights.start()
        x = self._forward(self.weights, self._model, x)
        head = self.weights.next("dense")
        kernel, bias = self.weights.of(head, (x.shape[-1], self._classes), (self._classes,))
        self.weights.note_size(len(x), self._classes)
        return x, kernel, bias

    def _logits(self, images: Array) -> Array:
        x, kernel, bias = self.before_the_mean(images)
        return x.mean(tuple(range(1, x.ndim - 1))) @ kernel + bias


def numpy_model(run: Run) -> NumpyModel | None:
    """Return a run's model, or None where Keras is needed.

    Args:
        run: a finished `Run`, whose files have been checked.

    Raises:
        RunError: the weights are not those of the model that config.yaml describes.
    """
    settings = run.settings
    if type(settings.model) not in FAMILIES or settings.training.precision != "float32":
        return None
    model = NumpyModel(run)
    try:  # of no image at all, which takes no time: what is wrong with the shapes comes out
        resized = _resized(run)
        shape = 0, *(resized or run.info["input_shape"])
        model.weights.note_size(*shape)
        model.before_the_mean(np.zeros(shape, np.uint8))
    except ValueError:  # sides of images, or sizes, that are Keras' to judge
        return None
    except KeyError as error:
        raise RunError(
            f"{run.folder / MODEL_FILE}: its weights are not those of the model that config.yaml"
            f" describes: {error.args[0]}"
        ) from None
    is_known = resized is None and model.weights.are_used_up and model.weights.are_finite
    return model if is_known and model.weights.largest <= MOST_VALUES else None


def _resized(run: Run) -> list[int] | None:
    """Return the shape to which the model resizes its images; None: it does not."""
    data, (height, width, channels) = run.settings.data, run.info["input_shape"]
    side = data.crop_size or data.resize_size
    if side is None or height == width == side == (data.resize_size or side):
        return None
    if data.crop_size or height == width:
        return [side, side, channels]
    raise ValueError("the other side is Keras' to say")


class _Weights:
    """The arrays of a `.keras` file, layer by layer.

    The file names a layer by its class, and the second of a class with `_1`.

    Attributes:
        largest: values of the largest array that was computed with them for one image.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays, self.largest = arrays, 0
        self.start()

    def start(self) -> None:
        """Begin with the first layer of each class."""
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}

    def note_size(self, *shape: int) -> None:
        """Take an array's shape, whose first axis counts the images, into `largest`."""
        self.largest = max(self.largest, prod(shape[1:]))

    @property
    def are_used_up(self) -> bool:
        """Whether every array was taken."""
        return self._taken == self._arrays.keys()

    @property
    def are_finite(self) -> bool:
        """Whether every weight is a number."""
        return all(np.isfinite(array).all() for array in self._arrays.values())

    def next(self, layer_class: str) -> str:
        """Return the name of the next layer of a class."""
        number = self._counts.get(layer_class, 0)
        self._counts[layer_class] = number + 1
        return f"layers/{layer_class}{f'_{number}' if number else ''}"

    def of(self, layer: str, *shapes: tuple[int, ...]) -> list[Array]:
        """Return a layer's arrays, which have these shapes.

        Raises:
            KeyError: they are not there, or of other shapes; it says which.
        """
        names = [f"{layer}/vars/{index}" for index in range(len(shapes))]
        for name, shape in zip(names, shapes, strict=True):
            if name not in self._arrays or self._arrays[name].shape != shape:
                raise KeyError(f"it holds no {name} of {'×'.join(map(str, shape))}")
        self._taken.update(names)
        return [self._arrays[name] for name in names]


# The layers; each takes the weights, a layer's name, and what else it needs.


def _dense(weights: _Weights, layer: str, x: Array, width: int) -> Array:
    kernel, bias = weights.of(layer, (x.shape[-1], width), (width,))
    weights.note_size(*x.shape[:-1], width)
    return x @ kernel + bias


def _convolution(
    weights: _Weights, layer: str, x: Array, size: int, stride: int | None, dim: int
) -> Array:
    """Return `(n, rows, columns, dim)`: a product with each patch of `(n, height, width, …)`."""
    kernel, bias = weights.of(layer, (size, size, x.shape[-1], dim), (dim,))
    return _patches(weights, x, size, stride) @ kernel.reshape(-1, dim) + bias


def _patches(weights: _Weights, x: Array, size: int, stride: int | None) -> Array:
    """Return `(n, rows, columns, size²·channels)`, the flattened patches of images."""
    step = stride or size
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    weights.note_size(*windows[:, ::step, ::step].shape)
    patches = np.moveaxis(windows[:, ::step, ::step], 3, 5)  # (n, rows, columns, size, size, …)
    return patches.reshape(*patches.shape[:3], prod(patches.shape[3:]))


def _layer_norm(weights: _Weights, layer: str, x: Array, epsilon: float) -> Array:
    gamma, beta = weights.of(layer, x.shape[-1:], x.shape[-1:])
    centered = x - x.mean(-1, keepdims=True)
    variance = np.mean(np.square(centered), -1, keepdims=True)
    return centered / np.sqrt(variance + np.float32(epsilon)) * gamma + beta


def _batch_norm(weights: _Weights, layer: str, tokens: Array) -> Array:
    """Normalize each token of `(n, tokens, dim)` by the statistics of the training."""
    arrays = weights.of(layer, *[tokens.shape[1:2]] * 4)
    gamma, beta, mean, variance = (array[:, None] for array in arrays)
    return (tokens - mean) / np.sqrt(variance + np.float32(BATCH_NORM_EPSILON)) * gamma + beta


def _gelu(x: Array) -> Array:
    from scipy.special import erf

    return x * (0.5 * (1 + erf(x / np.float32(2**0.5))))


def _gelu_tanh(x: Array) -> Array:
    inner = np.float32((2 / np.pi) ** 0.5) * (x + np.float32(0.044715) * x**3)
    return x * (0.5 * (1 + np.tanh(inner)))


def _silu(x: Array) -> Array:
    from scipy.special import expit

    return x * expit(x)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu_tanh": _gelu_tanh, "gelu": _gelu, "silu": _silu, "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0), "leaky_relu": lambda x: np.where(x > 0, x, LEAKY_SLOPE * x),
    "linear": lambda x: x,
}  # fmt: skip
OPEN_ACTIVATION = "gelu_tanh"  # what the models' builders take where the settings leave it open


# The families; images are normalized, float32 `(n, height, width, channels)`. Each returns what the
# head takes the mean of: `(n, …, dim)`.


def _mixer(weights: _Weights, model: MixerSettings, images: Array) -> Array:
    x = _mixer_stem(weights, model, images)
    x = x.reshape(len(x), prod(x.shape[1:-1]), x.shape[-1])  # (n, tokens, dim)
    if model.stem_norm == "batch":
        x = _batch_norm(weights, weights.next("batch_normalization"), x)
    for block in range(model.blocks):
        x = _mixer_block(weights, weights.next("mixer_block"), model, block, x)
    if model.pre_head_layer_norm:
        x = _layer_norm(weights, weights.next("layer_normalization"), x, model.norm_epsilon)
    return x


def _mixer_stem(weights: _Weights, model: MixerSettings, images: Array) -> Array:
    size, stride, dim = int(model.patch_size or 0), model.patch_stride, model.hidden_dim
    images = _fit_border(images, size, stride or size, model.patch_border)
    if model.stem == "dense":
        return _dense(weights, weights.next("dense"), _patches(weights, images, size, stride), dim)
    return _convolution(weights, weights.next("conv2d"), images, size, stride, dim)


def _fit_border(images: Array, size: int, stride: int, border: str) -> Array:
    added = [border_pixels(side, size, stride, border) for side in images.shape[1:3]]
    images = np.pad(images, [(0, 0), *((b, max(a, 0)) for b, a in added), (0, 0)])
    height, width = (
        side + min(after, 0) for side, (_, after) in zip(images.shape[1:3], added, strict=True)
    )
    return images[:, :height, :width]


def _mixer_block(
    weights: _Weights, layer: str, model: MixerSettings, block: int, x: Array
) -> Array:
    tokens, dim = x.shape[1], _width(model.block_dims or model.hidden_dim, block)

    def norm(name: str, position: str, y: Array) -> Array:
        if model.norm_position != position:
            return y
        return _layer_norm(weights, f"{layer}/{name}", y, model.norm_epsilon)

    activation = ACTIVATIONS[model.activation or OPEN_ACTIVATION]

    def mlp(name: str, y: Array, widths: int | list[int], out: int) -> Array:
        y = _dense(weights, f"{layer}/{name}/hidden", y, _width(widths, block))
        return _dense(weights, f"{layer}/{name}/output_dense", activation(y), out)

    y = norm("token_norm", "pre", x).swapaxes(1, 2)  # (n, channels, tokens)
    y = mlp("token_mixing", y, model.tokens_mlp_dim, tokens).swapaxes(1, 2)
    x = norm("token_norm", "post", x + y if model.skip_connections else y)
    y = mlp("channel_mixing", norm("channel_norm", "pre", x), model.channels_mlp_dim, dim)
    return norm("channel_norm", "post", x + y if model.skip_connections else y)


def _width(widths: int | list[int], block: int) -> int:
    return widths if isinstance(widths, int) else widths[block]


def _shift_mlp(weights: _Weights, model: ShiftMlpSettings, images: Array) -> Array:
    x = images
    for stage in model.stages:
        size, stride, dim = stage.patch_size, stage.patch_stride, stage.dim
        x = _convolution(weights, weights.next("conv2d"), x, size, stride, dim)
        for _ in range(stage.blocks):
            x = _shift_block(weights, weights.next("shift_block"), model, stage.mlp_dim, x)
    return _layer_norm(weights, weights.next("layer_normalization"), x, model.norm_epsilon)


def _shift_block(
    weights: _Weights, layer: str, model: ShiftMlpSettings, mlp_dim: int, x: Array
) -> Array:
    y = _layer_norm(weights, f"{layer}/norm", x, model.norm_epsilon)
    activation = ACTIVATIONS[model.activation or OPEN_ACTIVATION]
    y = activation(_dense(weights, f"{layer}/hidden", y, mlp_dim))
    return x + _dense(weights, f"{layer}/project", _shift(y), x.shape[-1])


def _shift(x: Array) -> Array:
    """Shift nine groups of channels by one token, as `kmixer.layers.SpatialShift` does."""
    _, rows, columns, channels = x.shape
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    bounds = [round(group * channels / 9) for group in range(10)]
    shifted = [
        padded[:, down : down + rows, right : right + columns, bounds[group] : bounds[group + 1]]
        for group, (down, right) in enumerate(np.ndindex(3, 3))
    ]
    return np.concatenate(shifted, axis=-1)


def _mlp(weights: _Weights, model: MlpSettings, images: Array) -> Array:
    x = _patches(weights, images, model.patch_size, None) if model.patch_size else images
    x = x.reshape(len(x), prod(x.shape[1:]))
    for width in model.hidden_dims:
        x = ACTIVATIONS[model.activation](_dense(weights, weights.next("dense"), x, width))
    return x


FAMILIES: dict[type, Forward] = {
    MixerSettings: _mixer, ShiftMlpSettings: _shift_mlp, MlpSettings: _mlp,
}  # fmt: skip
