"""Images in memory → tf.data batches; the one home of TensorFlow outside the data sources.

uint8 until the model takes over, whole batches at once, no Python per image.
"""

import numpy as np
import tensorflow as tf

from .sampling import epoch_plan

MOST_EPOCHS = 1_000_000
EVALUATION_BATCH = 1024


def training_batches(split, classes, batch_size, seed, *, augment=None, on_host=True,
                     label_smoothing=0.0, steps_per_epoch=None, first_epoch=0):  # fmt: skip
    """Build the endless stream of training batches from `first_epoch` on.

    Order and augmentation are pure functions of (seed, epoch, position). The images of an epoch
    that do not fill a last batch are left out; which ones they are differs between epochs.

    Args:
        split: the training `Split`.
        classes: number of classes.
        batch_size: images per batch.
        seed: the run's seed.
        augment: an `ImageAugmentation`, or None.
        on_host: augment here; else the batch carries the draws, for the model to augment with.
        label_smoothing: share of the label spread over all classes.
        steps_per_epoch: batches per epoch; default `len(split) // batch_size`.
        first_epoch: counted from 0.

    Returns:
        A `tf.data.Dataset` of (images, labels), or ((images, draws), labels): images uint8
        `(batch, height, width, channels)`, labels float32 `(batch, classes)`, draws float32
        `(batch, augment.draws)`.
    """
    steps = steps_per_epoch or len(split) // batch_size
    draws = augment.draws if augment else 0
    with tf.device("CPU"):
        images, labels = tf.constant(split.images), tf.constant(split.labels)

    def plan(epoch):
        order, uniforms = epoch_plan(seed, int(epoch), len(split), draws)
        used = steps * batch_size
        return (
            order[:used].reshape(steps, batch_size),
            uniforms[:used].reshape(steps, batch_size, draws),
        )

    def epoch_batches(epoch):
        order, uniforms = tf.numpy_function(plan, [epoch], [tf.int32, tf.float32])
        order = tf.ensure_shape(order, (steps, batch_size))
        uniforms = tf.ensure_shape(uniforms, (steps, batch_size, draws))
        return tf.data.Dataset.from_tensor_slices((order, uniforms))

    def batch(order, uniforms):
        x, y = tf.gather(images, order), tf.gather(labels, order)
        y = _smoothed(tf.one_hot(y, classes), label_smoothing, classes)
        if augment is None:
            return x, y
        y = augment.mix_labels(y, uniforms, images.shape[1:3])
        return (augment.transform(x, uniforms), y) if on_host else ((x, uniforms), y)

    epochs = tf.data.Dataset.range(first_epoch, MOST_EPOCHS)
    stream = epochs.flat_map(epoch_batches).map(
        batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    return stream.prefetch(tf.data.AUTOTUNE)


def evaluation_batches(split, classes, draws=None):
    """Build one pass over a split, in its own order, unaugmented.

    Args:
        split: the `Split`.
        classes: number of classes.
        draws: width of the draws that the model expects beside the images (unused when it does
            not train), or None where it takes images alone.
    """
    size = even_batch_size(len(split))

    def batch(x, y):
        y = tf.one_hot(y, classes)
        return ((x, tf.zeros((tf.shape(x)[0], draws))), y) if draws is not None else (x, y)

    with tf.device("CPU"):
        slices = tf.data.Dataset.from_tensor_slices((split.images, split.labels))
    return slices.batch(size).map(batch).prefetch(tf.data.AUTOTUNE)


def even_batch_size(count, most=EVALUATION_BATCH):
    """Return the largest batch size up to `most` that leaves no small last batch, if there is one.

    A last batch of another size would make XLA compile the model a second time.
    """
    divisors = [size for size in range(1, min(count, most) + 1) if count % size == 0]
    return divisors[-1] if divisors and divisors[-1] >= min(count, most) // 8 else min(count, most)


def _smoothed(labels, smoothing, classes):
    return labels * (1.0 - smoothing) + smoothing / classes


def as_arrays(dataset, steps):
    """Return the first `steps` batches as NumPy arrays, in nested tuples as the data set's own."""
    return [
        tf.nest.map_structure(np.asarray, batch)
        for batch in dataset.take(steps).as_numpy_iterator()
    ]
