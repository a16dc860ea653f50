"""A stem that begins as the filters that whiten the training images' patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np

from ..config.model import AllMlpSettings
from ..errors import SettingsError

if TYPE_CHECKING:
    from ..config import Settings
    from ..data import Dataset

STEM = "stem"
MOST_IMAGES, MOST_PIXELS = 2_000, 20_000_000  # that the filters are measured on
NOISE = 0.01  # added to each variance, so that noise is not blown up to the signal's size


def check_has_stem(settings: Settings) -> None:
    """Refuse `training.whiten_stem` where there is no stem to begin with.

    Raises:
        SettingsError: the model has none, or its weights come from another run.
    """
    if not settings.training.whiten_stem:
        return
    if not isinstance(settings.model, AllMlpSettings):
        raise SettingsError(
            "training.whiten_stem: received true, expected false for a model without a stem, which"
            f" {settings.model.name} is"
        )
    if settings.finetune:
        raise SettingsError(
            "training.whiten_stem: received true, expected false: the stem comes from a run"
        )


def whiten_stem(model: keras.Model, dataset: Dataset, seed: int) -> None:
    """Set the stem's kernel to whitening filters (Jordan, arXiv 2404.00498, section 3.1).

    The filters are the eigenvectors of the patches' covariance, each divided by its standard
    deviation, and then their negatives, the strongest first; channels that are left over get random
    combinations of them. Unlike there they are trained on with all else.

    Args:
        model: built, with a layer `stem` that is a convolution, or dense on flattened patches.
        dataset: whose training images are measured.
        seed: of the combinations.
    """
    stem = model.get_layer(STEM)
    shape = stem.kernel.shape
    filters = whitening_filters(_patches(model, stem, dataset))  # (values of a patch, filters)
    size, channels = filters.shape[0], shape[-1]
    pairs = min(channels // 2, size)
    left = np.random.default_rng(seed).standard_normal((size, channels - 2 * pairs)) / size**0.5
    kernel = np.concatenate([filters[:, :pairs], -filters[:, :pairs], filters @ left], axis=1)
    stem.kernel.assign(kernel.reshape(shape).astype(np.float32))


def whitening_filters(patches: np.ndarray) -> np.ndarray:
    """Return the filters `(values, values)` whose outputs vary by about 1, the strongest first.

    Args:
        patches: `(n, values)`.
    """
    variances, directions = np.linalg.eigh(patches.T @ patches / len(patches))  # rising
    return directions[:, ::-1] / np.sqrt(np.maximum(variances[::-1], 0) + NOISE)


def _patches(model: keras.Model, stem: keras.layers.Layer, dataset: Dataset) -> np.ndarray:
    """Return what the stem multiplies its kernel with, `(n, values)`, of some training images."""
    images = dataset.train.images
    height, width, _ = model.input_shape[1:]
    count = min(len(images), MOST_IMAGES, max(MOST_PIXELS // (height * width), 1))
    chosen = np.sort(np.random.default_rng(0).choice(len(images), count, replace=False))
    inputs = keras.Model(model.input, stem.input).predict(images[chosen], verbose=0)
    if inputs.ndim == 4:  # images, of which a convolution cuts its patches
        (size, _), (stride, _) = stem.kernel_size, stem.strides
        windows = np.lib.stride_tricks.sliding_window_view(inputs, (size, size), axis=(1, 2))
        inputs = windows[:, ::stride, ::stride].transpose(0, 1, 2, 4, 5, 3)
    return inputs.astype(np.float64).reshape(-1, int(np.prod(stem.kernel.shape[:-1])))
