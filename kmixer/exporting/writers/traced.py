"""A trained model as TensorFlow functions: uint8 images → probabilities, as converters know them.

Converters recognize patterns. Keras multiplies tokens by a kernel through reshapes whose shape is
known only at run time, and computes a layer norm as a sum of two terms that nearly cancel; neither
works in eight bits (docs/adr/0015). During a trace, dense layers and layer norms are therefore
replaced by the functions below, which do the same mathematics in fewer operations.

The replacement is made on Keras' classes, because the layers to replace lie inside other layers,
which Keras' `clone_model` does not enter. It ends with the trace, and a conversion has a process of
its own, so nothing else ever sees it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ...data.decode import Fit

LEVELS = 255  # of an 8-bit integer
BATCH = 64  # images, while calibrating
ABOVE = 256.0  # more than any level of a pixel
RESIZE = "resize"  # the scope of the operations that fit an image to the model's size

Tensor = Any
ImageShape = tuple[int, int, int]
Sides = tuple[Tensor, Tensor]  # height and width in pixels
LayerNorm = Callable[[keras.layers.LayerNormalization, Tensor], Tensor]
Activation = Callable[[Tensor], Tensor]
Activate = Callable[[Activation, Tensor], Tensor]


def fixed_size(
    model: keras.Model,
    image_shape: ImageShape,
    *,
    representative: np.ndarray | None = None,
    batch: int | None = None,
    activate: Activate | None = None,
) -> Any:
    """Return a function of images of the size trained on.

    Args:
        model: a Keras model, uint8 images → logits.
        image_shape: (height, width, channels).
        representative: uint8 images to calibrate with, for the converter to 8-bit integers: pixels
            are then float32 0..255, and layer norms are computed through a vector's length.
        batch: the number of images; None: any.
        activate: computes activations; None: as Keras does, in operations that converters know.

    Returns:
        A `tf.function`: `(batch, height, width, channels)` → float32 `(batch, classes)`.
    """
    dtype: tf.DType = tf.uint8
    layer_norm: LayerNorm = _layer_norm
    if representative is not None:
        dtype, layer_norm = tf.float32, _length_norm(_off_center(model, representative))

    @tf.function(input_signature=[tf.TensorSpec((batch, *image_shape), dtype, name="images")])
    def probabilities(images: Tensor) -> dict[str, Tensor]:
        with _replaced_calls(layer_norm, activate):
            return {"probabilities": tf.nn.softmax(_logits(model, images))}

    return probabilities


def any_size(model: keras.Model, image_shape: ImageShape, fit: Fit = "crop") -> Any:
    """Return a function of images of any size, which it fits as `kmixer predict` does.

    Args:
        model: see `fixed_size`.
        image_shape: see `fixed_size`.
        fit: what becomes of images of another aspect ratio.

    Returns:
        A `tf.function`: uint8 `(batch, any, any, channels)` → float32 `(batch, classes)`.
    """
    height, width, channels = image_shape

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, None, channels), tf.uint8, name="images")]
    )
    def probabilities(images: Tensor) -> dict[str, Tensor]:
        with _replaced_calls():
            with tf.name_scope(RESIZE):
                fitted = _fit(tf.cast(images, tf.float32), height, width, fit)
            fitted = tf.ensure_shape(fitted, (None, *image_shape))
            return {"probabilities": tf.nn.softmax(_logits(model, fitted))}

    return probabilities


def _logits(model: keras.Model, images: Tensor) -> Tensor:
    x = images
    for layer in model.layers[1:]:  # every model is a chain; the input layer would insist on uint8
        x = layer(x)
    return x


def _fit(images: Tensor, height: int, width: int, fit: Fit = "crop") -> Tensor:
    """Resize images to (height, width), as `decode` does with Pillow: cropped, padded or stretched.

    Like Pillow this rounds to whole gray levels after scaling each side. Pillow scales the cheaper
    side first and this always the width, which can differ by one level.
    """
    rows, columns = (
        tf.cast(side, tf.float32) for side in (tf.shape(images)[1], tf.shape(images)[2])
    )
    wide = columns * height >= rows * width
    if fit == "pad":
        filled_rows = tf.where(wide, _whole(rows * width / columns), float(height))
        filled_columns = tf.where(wide, float(width), _whole(columns * height / rows))
        return _pad(images, (rows, columns), (filled_rows, filled_columns), (height, width))
    kept_rows, kept_columns = rows, columns
    if fit == "crop":
        kept_columns = tf.where(wide, rows * width / height, columns)
        kept_rows = tf.where(wide, rows, columns * height / width)
    across = _bilinear(columns, (columns - kept_columns) / 2, kept_columns, width)
    down = _bilinear(rows, (rows - kept_rows) / 2, kept_rows, height)
    return _scale(images, down, across)


def _whole(length: Tensor) -> Tensor:
    return tf.maximum(tf.round(length), 1.0)


def _scale(images: Tensor, down: Tensor, across: Tensor) -> Tensor:
    x = tf.floor(tf.einsum("bhwc,ow->bhoc", images, across) + 0.5)
    return tf.floor(tf.einsum("bhwc,oh->bowc", x, down) + 0.5)


def _pad(images: Tensor, sides: Sides, filled: Sides, size: tuple[int, int]) -> Tensor:
    """Scale whole images into the middle of a size; the rest is the median color of their border.

    Args:
        images: `(batch, height, width, channels)`.
        sides: their height and width.
        filled: what they are scaled to.
        size: (height, width) of the result.
    """
    firsts = [tf.floor((most - side) / 2) for most, side in zip(size, filled, strict=True)]
    down, across = (
        _bilinear(side, -first * side / inner, side * most / inner, most)
        for side, first, inner, most in zip(sides, firsts, filled, size, strict=True)
    )
    within, border = _masks(firsts, filled, size)
    scaled = _scale(images, down, across)
    levels = tf.where(border, scaled, ABOVE)  # sorted, those of the border come first
    levels = tf.sort(tf.reshape(levels, (-1, size[0] * size[1], images.shape[-1])), axis=1)
    count = tf.reduce_sum(tf.cast(border, tf.int32))
    middle = tf.gather(levels, (count - 1) // 2, axis=1) + tf.gather(levels, count // 2, axis=1)
    return tf.where(within, scaled, tf.floor(middle / 2)[:, None, None])


def _masks(firsts: Sequence[Tensor], filled: Sides, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return which pixels the scaled image covers, and which are its border, each (h, w, 1)."""
    inside, inner = [], []
    for first, length, most in zip(firsts, filled, size, strict=True):
        pixels = tf.range(most, dtype=tf.float32) - first
        inside.append((pixels >= 0) & (pixels < length))
        inner.append((pixels >= 1) & (pixels < length - 1))
    within = (inside[0][:, None] & inside[1][None, :])[..., None]
    interior = (inner[0][:, None] & inner[1][None, :])[..., None]
    return within, within & ~interior


def _bilinear(length: Tensor, begin: Tensor, extent: Tensor, size: int) -> Tensor:
    """Return the weights `(size, length)` that scale an extent of `length` pixels to `size`.

    What lies outside of the `length` pixels reads the outermost one.
    """
    ratio = extent / size
    centers = begin + (tf.range(size, dtype=tf.float32) + 0.5) * ratio
    centers = tf.clip_by_value(centers, 0.5, length - 0.5)
    distances = tf.abs(centers[:, None] - (tf.range(length) + 0.5)[None, :])
    weights = tf.maximum(1 - distances / tf.maximum(ratio, 1.0), 0.0)
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)


@contextmanager
def _replaced_calls(
    layer_norm: LayerNorm | None = None, activate: Activate | None = None
) -> Iterator[None]:
    """Let dense layers, activations and layer norms compute with the functions below."""
    activate = activate or _activate
    replacements = {
        keras.layers.Dense: _dense(activate),
        keras.layers.Activation: lambda layer, x: activate(layer.activation, x),
        keras.layers.LayerNormalization: layer_norm or _layer_norm,
    }
    originals = {layer_class: layer_class.call for layer_class in replacements}
    for layer_class, replacement in replacements.items():
        layer_class.call = replacement
    try:
        yield
    finally:
        for layer_class, original in originals.items():
            layer_class.call = original


def _dense(activate: Activate) -> Callable[..., Tensor]:
    def call(layer: keras.layers.Dense, inputs: Tensor, training: bool | None = None) -> Tensor:
        y = tf.matmul(inputs, layer.kernel)
        if layer.use_bias:
            y = y + layer.bias
        return y if layer.activation is None else activate(layer.activation, y)

    return call


def _activate(activation: Activation, y: Tensor) -> Tensor:
    if activation is keras.activations.gelu:  # Keras uses an operation that few formats have
        return 0.5 * y * (1 + tf.math.erf(y * np.float32(0.5**0.5)))
    return activation(y)


def _layer_norm(layer: keras.layers.LayerNormalization, x: Tensor) -> Tensor:
    centered = x - tf.reduce_mean(x, axis=-1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centered), axis=-1, keepdims=True)
    return centered * tf.math.rsqrt(variance + layer.epsilon) * layer.gamma + layer.beta


def _off_center(model: keras.Model, images: np.ndarray) -> set[int]:
    """Return the ids of the layer norms whose inputs have a mean that eight bits can tell from 0.

    The output of another norm has a mean of about 0, for which a scale would be too small to
    compute with.
    """
    ids = set()

    def note(layer: keras.layers.LayerNormalization, x: Tensor) -> Tensor:
        mean = tf.reduce_max(tf.abs(tf.reduce_mean(x, axis=-1)))
        if mean > tf.reduce_max(tf.abs(x)) / LEVELS:
            ids.add(id(layer))
        return _layer_norm(layer, x)

    with _replaced_calls(note):
        for start in range(0, len(images), BATCH):
            _logits(model, tf.constant(images[start : start + BATCH]))
    return ids


def _length_norm(off_center: set[int]) -> LayerNorm:
    """Return a layer norm that divides by the vector's length, which is one operation on integers.

    The variance has too wide a range for eight bits. The mean is a matrix product, so that the
    converter does not merge the subtraction into the square.

    Args:
        off_center: ids of the layer norms that have to subtract the mean; see `_off_center`.
    """

    def call(layer: keras.layers.LayerNormalization, x: Tensor) -> Tensor:
        channels = x.shape[-1]
        if id(layer) in off_center:
            x = x + tf.matmul(x, tf.fill((channels, 1), -1.0 / channels))
        squares = tf.reduce_sum(tf.square(x), axis=-1, keepdims=True)
        direction = x * tf.math.rsqrt(squares + np.float32(layer.epsilon * channels))
        return direction * (layer.gamma * np.float32(channels**0.5)) + layer.beta

    return call
