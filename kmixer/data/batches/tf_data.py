"""Make batches with tf.data, which passes them to TensorFlow without a copy."""

from typing import Any

import tensorflow as tf

from .plan import EvaluationPlan, TrainingPlan

MANY_EPOCHS = 1_000_000  # more than any training has


def training_batches(plan: TrainingPlan) -> tf.data.Dataset:
    """Return the endless stream of a `TrainingPlan`."""
    draws, images = plan.augment.draws, plan.split.images
    with tf.device("CPU"):
        labels = tf.constant(plan.split.labels)
        if not plan.resident:
            images = tf.constant(images)

    def epoch_steps(epoch: tf.Tensor) -> tf.data.Dataset:
        order, uniforms = tf.numpy_function(plan.epoch, [epoch], [tf.int32, tf.float32])
        order = tf.ensure_shape(order, (plan.steps, plan.batch_size))
        uniforms = tf.ensure_shape(uniforms, (plan.steps, plan.batch_size, draws))
        return tf.data.Dataset.from_tensor_slices((order, uniforms))

    def make_batch(order: tf.Tensor, uniforms: tf.Tensor) -> tuple[Any, Any]:
        return plan.batch(order, uniforms, images, labels, tf.gather)

    epochs = tf.data.Dataset.range(plan.first_epoch, MANY_EPOCHS)
    stream = (
        epochs.flat_map(epoch_steps)
        .skip(plan.first_step)
        .map(make_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    )
    return stream.prefetch(tf.data.AUTOTUNE)


def evaluation_batches(plan: EvaluationPlan) -> tf.data.Dataset:
    """Return the batches of an `EvaluationPlan`."""
    with tf.device("CPU"):
        slices = tf.data.Dataset.from_tensor_slices(plan.arrays())
    return slices.batch(plan.batch_size).prefetch(tf.data.AUTOTUNE)


def repeated(batch: Any) -> tf.data.Dataset:
    """Return a stream that repeats one batch for ever."""
    return tf.data.Dataset.from_tensors(batch).cache().repeat()
