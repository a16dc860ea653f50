"""Apply a different function to each image of a batch, without a loop over the images.

On the host every function is called with its own images only, so a batch takes as long as with one
function for all. In a model, where the compiler has to know all shapes, every function is called
with the whole batch, and its result is used for its own images.
"""

from collections.abc import Callable, Sequence

import keras
import numpy as np

from .base import Array, Namespace, in_keras_call

ImageFunction = Callable[[Namespace, Array, Array], Array]


def apply_per_image(
    xp: Namespace,
    functions: Sequence[ImageFunction],
    selected: Array,
    images: Array,
    choices: Array,
) -> Array:
    """Apply to each image the function selected for it.

    Args:
        xp: the namespace to compute in.
        functions: of (xp, images, choices), returning images of the same shape and dtype; they may
            be called with an empty batch.
        selected: int32 `(batch,)`, the index of each image's function; `len(functions)` leaves the
            image as it is.
        images: `(batch, height, width, channels)`.
        choices: int32 `(batch,)`, passed on to the functions.
    """
    if in_keras_call.get():
        return _apply_to_whole_batches(xp, functions, selected, images, choices)
    if xp is np:
        return _apply_in_numpy(functions, selected, images, choices)
    return _apply_in_tensorflow(xp, functions, selected, images, choices)


def repeat(count: int, step: Callable[[Array, Array], Array], images: Array) -> Array:
    """Return `images` after `count` calls of step(number, images).

    In a model this is a loop of the backend, since XLA would otherwise compute the first step again
    for each function of the second.
    """
    if in_keras_call.get():
        return keras.ops.fori_loop(0, count, step, images)
    for number in range(count):
        images = step(number, images)
    return images


def _apply_to_whole_batches(
    xp: Namespace,
    functions: Sequence[ImageFunction],
    selected: Array,
    images: Array,
    choices: Array,
) -> Array:
    result = images
    for index, function in enumerate(functions):
        mask = (selected == index)[:, None, None, None]
        result = xp.where(mask, function(xp, images, choices), result)
    return result


def _apply_in_numpy(
    functions: Sequence[ImageFunction],
    selected: np.ndarray,
    images: np.ndarray,
    choices: np.ndarray,
) -> np.ndarray:
    result = images.copy()
    for index, function in enumerate(functions):
        mask = selected == index
        result[mask] = function(np, images[mask], choices[mask])
    return result


def _apply_in_tensorflow(
    xp: Namespace,
    functions: Sequence[ImageFunction],
    selected: Array,
    images: Array,
    choices: Array,
) -> Array:
    """Split the batch by function, apply each, and put the images back in their order."""
    import tensorflow as tf

    def split(values: Array) -> list[Array]:
        return tf.dynamic_partition(values, selected, len(functions) + 1)

    *parts, unchanged = split(images)
    *part_choices, _ = split(choices)
    positions = split(tf.range(tf.shape(selected)[0]))
    changed = [
        function(xp, part, choice)
        for function, part, choice in zip(functions, parts, part_choices, strict=True)
    ]
    return tf.ensure_shape(tf.dynamic_stitch(positions, [*changed, unchanged]), images.shape)
