"""Batches by tf.data, which hands them to TensorFlow without a copy."""

import tensorflow as tf

MOST_EPOCHS = 1_000_000


def training_batches(plan):
    """Return the endless `tf.data.Dataset` of a `TrainingPlan`."""
    draws, images = plan.augment.draws, plan.split.images
    with tf.device("CPU"):
        labels = tf.constant(plan.split.labels)
        if not plan.resident:
            images = tf.constant(images)

    def epoch_batches(epoch):
        order, uniforms = tf.numpy_function(plan.epoch, [epoch], [tf.int32, tf.float32])
        order = tf.ensure_shape(order, (plan.steps, plan.batch_size))
        uniforms = tf.ensure_shape(uniforms, (plan.steps, plan.batch_size, draws))
        return tf.data.Dataset.from_tensor_slices((order, uniforms))

    def batch(order, uniforms):
        return plan.batch(order, uniforms, images, labels, tf.gather)

    epochs = tf.data.Dataset.range(plan.first_epoch, MOST_EPOCHS)
    stream = (
        epochs.flat_map(epoch_batches)
        .skip(plan.first_step)
        .map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    )
    return stream.prefetch(tf.data.AUTOTUNE)


def evaluation_batches(plan):
    """Return the `tf.data.Dataset` of an `EvaluationPlan`."""
    with tf.device("CPU"):
        slices = tf.data.Dataset.from_tensor_slices(plan.arrays())
    return slices.batch(plan.batch_size).prefetch(tf.data.AUTOTUNE)


def repeated(batch):
    """Return one batch again and again."""
    return tf.data.Dataset.from_tensors(batch).cache().repeat()
