"""Different functions for different images of a batch, without a loop over the images.

On the host each function gets its images only, and takes a batch as long as one function for all
would. In a model, where the compiler wants to know all shapes, each gets the whole batch.
"""

import keras
import numpy as np

from .base import in_model


def by_kind(xp, functions, kinds, images, choices):
    """Apply to each image the function of its kind.

    Args:
        xp: the namespace to compute in.
        functions: of (xp, images, choices), returning images of the same shape and dtype; they may
            get an empty batch.
        kinds: int32 `(batch,)`, the number of each image's function; `len(functions)` is none.
        images: `(batch, height, width, channels)`.
        choices: int32 `(batch,)`, the functions' second argument.
    """
    if in_model.get():
        return _whole_batches(xp, functions, kinds, images, choices)
    if xp is np:
        return _in_numpy(functions, kinds, images, choices)
    return _in_tensorflow(xp, functions, kinds, images, choices)


def in_turn(xp, count, step, images):
    """Return `images` after `count` calls of step(number, images).

    In a model as a loop, since XLA would otherwise compute the first step anew for each of the
    second step's functions.
    """
    if in_model.get():
        return keras.ops.fori_loop(0, count, step, images)
    for number in range(count):
        images = step(number, images)
    return images


def _whole_batches(xp, functions, kinds, images, choices):
    result = images
    for number, function in enumerate(functions):
        chosen = (kinds == number)[:, None, None, None]
        result = xp.where(chosen, function(xp, images, choices), result)
    return result


def _in_numpy(functions, kinds, images, choices):
    result = images.copy()
    for number, function in enumerate(functions):
        chosen = kinds == number
        result[chosen] = function(np, images[chosen], choices[chosen])
    return result


def _in_tensorflow(xp, functions, kinds, images, choices):
    import tensorflow as tf

    whole = images, choices, tf.range(tf.shape(kinds)[0])
    split = [tf.dynamic_partition(values, kinds, len(functions) + 1) for values in whole]
    *parts, (kept, _, last) = zip(*split, strict=True)
    made = [f(xp, part, chosen) for f, (part, chosen, _) in zip(functions, parts, strict=True)]
    result = tf.dynamic_stitch([*(places for *_, places in parts), last], [*made, kept])
    return tf.ensure_shape(result, images.shape)
