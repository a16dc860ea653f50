"""Baselines for the benchmark: how fast others' code is; needs TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from .benchmark_rates import RAND_AUGMENT_MAGNITUDE, fit_rate, stream_rate
from .initial_model import initial_model

if TYPE_CHECKING:
    from .benchmark import Bench, Measures

Tensor = Any


def _plain_keras(bench: Bench) -> float:
    """Return the examples/s of what one writes first: augmentation mapped over single images."""
    split, size = bench.dataset.train, bench.dataset.image_shape[:2]

    def crop(image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        begin, extent, _ = tf.image.sample_distorted_bounding_box(
            tf.shape(image), tf.zeros((1, 0, 4)), area_range=(0.9, 1.0),
            aspect_ratio_range=(3 / 4, 4 / 3), use_image_if_no_bounding_boxes=True,
        )  # fmt: skip
        image = tf.image.resize(tf.slice(image, begin, extent), size)
        image = tf.ensure_shape(image, bench.dataset.image_shape)
        return tf.cast(image, tf.uint8), tf.one_hot(label, bench.classes)

    batches = tf.data.Dataset.from_tensor_slices((split.images, split.labels)).shuffle(10_000)
    batches = batches.repeat().map(crop).batch(bench.batch_size, drop_remainder=True)
    model = initial_model(bench.settings, bench.dataset)
    model.compile(optimizer="adam", loss=keras.losses.CategoricalCrossentropy(from_logits=True),
                  metrics=["accuracy"])  # fmt: skip
    return fit_rate(model, batches.prefetch(tf.data.AUTOTUNE), bench.steps, bench.batch_size)


def _keras_rand_augment(bench: Bench) -> float:
    """Return the images/s of Keras' own layer as its documentation uses it: mapped over batches.

    The same number of operations at the same magnitude. It draws once for a batch.
    """
    layer = keras.layers.RandAugment(
        value_range=(0, 255), num_ops=2, factor=RAND_AUGMENT_MAGNITUDE / 30
    )
    images = tf.data.Dataset.from_tensors(bench.dataset.train.images[: bench.batch_size]).repeat()
    mapped = images.map(layer, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    return stream_rate(mapped, bench.steps, bench.batch_size)


MEASURES: Measures = {
    "plain_keras": _plain_keras,
    "keras_rand_augment": _keras_rand_augment,
}
