"""Keras → TensorFlow SavedModel."""

import tensorflow as tf

from . import traced


def write(model, run, folder, quantize, representative):
    """Write `saved_model.pb`, `variables/` and `assets/labels.txt`; images of any size.

    Args:
        model: a Keras model, uint8 images → logits.
        run: the `Run` it is of.
        folder: to write into.
        quantize: `"none"`.
        representative: not used.
    """
    function = traced.any_size(model, tuple(run.info["input_shape"]))
    save(model, function, folder, labels=run.folder / "labels.txt")


def save(model, function, folder, labels=None):
    """Write a function over a model's variables as the SavedModel's default signature."""
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    if labels:
        module.labels = tf.saved_model.Asset(str(labels))
    signature = function.get_concrete_function()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": signature})
