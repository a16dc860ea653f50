"""Make batches with tf.data, which passes them to TensorFlow without a copy."""

from typing import Any

import numpy as np
import tensorflow as tf

from ..stored_images import StoredImages
from .plan import EvaluationPlan, TrainingPlan

MANY_EPOCHS = 1_000_000  # more than any training has


def training_batches(plan: TrainingPlan) -> tf.data.Dataset:
    """Return the endless stream of a `TrainingPlan`."""
    draws, images = plan.augment.draws, plan.split.images
    with tf.device("CPU"):
        labels = tf.constant(plan.split.labels)
        if not plan.resident and not isinstance(images, StoredImages):
            images = tf.constant(images)

    def epoch_steps(epoch: tf.Tensor) -> tf.data.Dataset:
        order, uniforms = tf.numpy_function(plan.epoch, [epoch], [tf.int32, tf.float32])
        order = tf.ensure_shape(order, (plan.steps, plan.batch_size))
        uniforms = tf.ensure_shape(uniforms, (plan.steps, plan.batch_size, draws))
        return tf.data.Dataset.from_tensor_slices((order, uniforms))

    def make_batch(order: tf.Tensor, uniforms: tf.Tensor) -> tuple[Any, Any]:
        return plan.batch(order, uniforms, images, labels, _take)

    epochs = tf.data.Dataset.range(plan.first_epoch, MANY_EPOCHS)
    stream = (
        epochs.flat_map(epoch_steps)
        .skip(plan.first_step)
        .map(make_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    )
    return stream.prefetch(tf.data.AUTOTUNE)


def evaluation_batches(plan: EvaluationPlan) -> tf.data.Dataset:
    """Return the batches of an `EvaluationPlan`."""
    images, labels = plan.arrays()
    if isinstance(images, StoredImages):
        indices = tf.data.Dataset.from_tensor_slices((np.arange(plan.count), labels))
        batches = indices.batch(plan.batch_size).map(lambda rows, y: (_take(images, rows), y))
        return batches.prefetch(tf.data.AUTOTUNE)
    with tf.device("CPU"):
        slices = tf.data.Dataset.from_tensor_slices((images, labels))
    return slices.batch(plan.batch_size).prefetch(tf.data.AUTOTUNE)


def _take(array: Any, indices: tf.Tensor) -> tf.Tensor:
    """Return the rows of a tensor, or the images that are read from a file."""
    if not isinstance(array, StoredImages):
        return tf.gather(array, indices)
    images = tf.numpy_function(array.__getitem__, [indices], tf.uint8, stateful=False)
    return tf.ensure_shape(images, (*indices.shape, *array.shape[1:]))


def repeated(batch: Any) -> tf.data.Dataset:
    """Return a stream that repeats one batch for ever."""
    return tf.data.Dataset.from_tensors(batch).cache().repeat()
