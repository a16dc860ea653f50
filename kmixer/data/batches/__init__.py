"""Images in memory → batches: by tf.data under TensorFlow, by NumPy and threads elsewhere.

Order, augmentation and labels are decided in `plan.py`, the same for both. Whole batches at once,
uint8 until the model takes over, no Python per image.
"""

import itertools

import keras
import numpy as np

from .plan import EvaluationPlan, TrainingPlan, even_batch_size

__all__ = [
    "as_arrays", "close", "evaluation_batches", "even_batch_size", "repeated", "training_batches",
]  # fmt: skip


def training_batches(split, classes, batch_size, seed, *, steps_per_epoch=None, **options):
    """Build the endless stream of training batches.

    Order and augmentation are pure functions of (seed, epoch, position). The images of an epoch
    that do not fill a last batch are left out; which ones they are differs between epochs.

    Args:
        split: the training `Split`.
        classes: number of classes.
        batch_size: images per batch.
        seed: the run's seed.
        steps_per_epoch: batches per epoch; default `len(split) // batch_size`.
        options: further fields of `TrainingPlan`.

    Returns:
        What `model.fit` takes: (images, labels), or ((indices, draws), labels) where the images are
        `resident`. Images uint8 `(batch, height, width, channels)`, labels float32
        `(batch, classes)`, indices int32 `(batch,)`, draws float32 `(batch, augment.draws)`.
    """
    steps = steps_per_epoch or len(split) // batch_size
    plan = TrainingPlan(split, classes, batch_size, seed, steps, **options)
    return _home().training_batches(plan)


def evaluation_batches(split, classes, **options):
    """Build one pass over a split, in its own order, unaugmented; it can be repeated.

    Args:
        split: the `Split`.
        classes: number of classes.
        options: further fields of `EvaluationPlan`.
    """
    return _home().evaluation_batches(EvaluationPlan(split, classes, **options))


def repeated(batch):
    """Return one batch, a nested tuple of arrays, again and again."""
    return _home().repeated(batch)


def as_arrays(stream, steps):
    """Return the first `steps` batches, or all, as NumPy arrays in nested tuples as they came."""
    batches = itertools.islice(iter(stream), steps)
    return [keras.tree.map_structure(np.asarray, batch) for batch in batches]


def close(stream):
    """Stop what makes a stream's batches ahead of time: `fit` never comes to its end."""
    if hasattr(stream, "close"):  # tf.data stops by itself
        stream.close()


def _home():
    if keras.backend.backend() == "tensorflow":
        from . import tf_data

        return tf_data
    from . import threads

    return threads
