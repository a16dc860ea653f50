"""A trained model as TensorFlow functions: uint8 images → probabilities, in forms converters know.

Converters recognise patterns. Keras multiplies tokens by a kernel through reshapes of a shape that
is only known when it runs, and computes a layer norm as a sum of two terms that nearly cancel;
neither survives eight bits (docs/adr/0015). For the time of a trace, dense layers and layer norms
are written out here: the same mathematics in fewer operations.
"""

from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

LEVELS = 255  # of an 8-bit integer
AT_ONCE = 64  # images, where they are not batched by who calls
RESIZE = "resize"  # the scope of the operations that fit an image to the model's size


def fixed_size(model, image_shape, *, representative=None):
    """Return a function of images of the size trained on, any number of them.

    Args:
        model: a Keras model, uint8 images → logits.
        image_shape: (height, width, channels).
        representative: uint8 images to calibrate with; then pixels arrive as float32 0..255, and
            layer norms are lengths: what the converter to 8-bit integers needs.

    Returns:
        A `tf.function`: `(batch, height, width, channels)` → float32 `(batch, classes)`.
    """
    dtype, layer_norm = tf.uint8, _layer_norm
    if representative is not None:
        dtype, layer_norm = tf.float32, _length_norm(_off_centre(model, representative))

    @tf.function(input_signature=[tf.TensorSpec((None, *image_shape), dtype, name="images")])
    def probabilities(images):
        with _written_out(layer_norm):
            return {"probabilities": tf.nn.softmax(_logits(model, images))}

    return probabilities


def any_size(model, image_shape):
    """Return a function of images of any size, scaled and cropped as `kmixer predict` does it.

    Args:
        model: see `fixed_size`.
        image_shape: see `fixed_size`.

    Returns:
        A `tf.function`: uint8 `(batch, any, any, channels)` → float32 `(batch, classes)`.
    """
    height, width, channels = image_shape

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, None, channels), tf.uint8, name="images")]
    )
    def probabilities(images):
        with _written_out():
            with tf.name_scope(RESIZE):
                fitted = _fit(tf.cast(images, tf.float32), height, width)
            fitted = tf.ensure_shape(fitted, (None, *image_shape))
            return {"probabilities": tf.nn.softmax(_logits(model, fitted))}

    return probabilities


def _logits(model, images):
    x = images
    for layer in model.layers[1:]:  # every model is a chain; its input alone insists on uint8
        x = layer(x)
    return x


def _fit(images, height, width):
    """Scale images to cover (height, width) and crop to the centre, as Pillow's `ImageOps.fit`.

    Pillow rounds to whole levels after scaling along each side, and so does this; Pillow takes the
    cheaper side first, this always the width, which can differ by one level.
    """
    rows, columns = (
        tf.cast(side, tf.float32) for side in (tf.shape(images)[1], tf.shape(images)[2])
    )
    wide = columns * height >= rows * width
    kept_columns = tf.where(wide, rows * width / height, columns)
    kept_rows = tf.where(wide, rows, columns * height / width)
    across = _bilinear(columns, (columns - kept_columns) / 2, kept_columns, width)
    down = _bilinear(rows, (rows - kept_rows) / 2, kept_rows, height)
    x = tf.floor(tf.einsum("bhwc,ow->bhoc", images, across) + 0.5)
    return tf.floor(tf.einsum("bhwc,oh->bowc", x, down) + 0.5)


def _bilinear(length, begin, extent, size):
    """Return the share `(size, length)` of each pixel in each of `size` pixels across an extent."""
    ratio = extent / size
    centres = begin + (tf.range(size, dtype=tf.float32) + 0.5) * ratio
    distances = tf.abs(centres[:, None] - (tf.range(length) + 0.5)[None, :])
    weights = tf.maximum(1 - distances / tf.maximum(ratio, 1.0), 0.0)
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)


@contextmanager
def _written_out(layer_norm=None):
    """Trace dense layers and layer norms as the functions below."""
    forms = {
        keras.layers.Dense: _dense,
        keras.layers.LayerNormalization: layer_norm or _layer_norm,
    }
    kept = {kind: kind.call for kind in forms}
    for kind, form in forms.items():
        kind.call = form
    try:
        yield
    finally:
        for kind, call in kept.items():
            kind.call = call


def _dense(layer, inputs, training=None):
    y = tf.matmul(inputs, layer.kernel)
    if layer.use_bias:
        y = y + layer.bias
    return y if layer.activation is None else _activated(layer.activation, y)


def _activated(activation, y):
    if (
        activation is keras.activations.gelu
    ):  # Keras' own form ends in an operation few formats have
        return 0.5 * y * (1 + tf.math.erf(y * np.float32(0.5**0.5)))
    return activation(y)


def _layer_norm(layer, x):
    centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
    return centred * tf.math.rsqrt(variance + layer.epsilon) * layer.gamma + layer.beta


def _off_centre(model, images):
    """Return the ids of the layer norms whose inputs have a mean that eight bits can tell from 0.

    That of another norm's output has none, and a scale for it would be too small to compute with.
    """
    found = set()

    def note(layer, x):
        mean = tf.reduce_max(tf.abs(tf.reduce_mean(x, axis=-1)))
        if mean > tf.reduce_max(tf.abs(x)) / LEVELS:
            found.add(id(layer))
        return _layer_norm(layer, x)

    with _written_out(note):
        for at in range(0, len(images), AT_ONCE):
            _logits(model, tf.constant(images[at : at + AT_ONCE]))
    return found


def _length_norm(off_centre):
    """Return a layer norm through the vector's length, which is one operation on integers.

    The variance itself has too wide a range for eight bits. The mean comes from a matrix product,
    lest the converter merge the difference into the square.

    Args:
        off_centre: see `_off_centre`.
    """

    def call(layer, x):
        channels = x.shape[-1]
        if id(layer) in off_centre:
            x = x + tf.matmul(x, tf.fill((channels, 1), -1.0 / channels))
        squares = tf.reduce_sum(tf.square(x), axis=-1, keepdims=True)
        direction = x * tf.math.rsqrt(squares + np.float32(layer.epsilon * channels))
        return direction * (layer.gamma * np.float32(channels**0.5)) + layer.beta

    return call
