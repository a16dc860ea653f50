"""Write a Keras model as a TensorFlow SavedModel."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ...runs.run import LABELS_FILE, Run
from . import traced


def write(
    model: keras.Model, run: Run, folder: Path, quantize: str, representative: np.ndarray | None
) -> None:
    """Write `saved_model.pb`, `variables/` and `assets/labels.txt`; images of any size.

    Args:
        model: a Keras model, uint8 images → logits.
        run: the run that it belongs to.
        folder: the folder to write into.
        quantize: `"none"`.
        representative: not used.
    """
    function = traced.any_size(model, tuple(run.info["input_shape"]), run.settings.data.fit)
    save(model, function, folder, labels=run.folder / LABELS_FILE)


def save(model: keras.Model, function: Any, folder: str | Path, labels: Path | None = None) -> None:
    """Write a `tf.function` that uses a model's variables as the SavedModel's default signature."""
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    if labels:
        module.labels = tf.saved_model.Asset(str(labels))
    signature = function.get_concrete_function()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": signature})
