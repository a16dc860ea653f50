"""The model that a training begins with: checked before anything is written, then built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np

from ..config import Settings
from ..errors import SettingsError
from ..models.factory import build_model, without_values
from ..runs.model_size import too_large
from . import finetuning
from .whitening import check_has_stem, whiten_stem

if TYPE_CHECKING:
    from ..data import Dataset

WITH_GRADIENT = 2  # numbers for each parameter, under the optimizer that keeps fewest
Weights = dict[str, np.ndarray]


def check_model(settings: Settings, dataset: Dataset) -> tuple[keras.Model, Weights | None]:
    """Check that the model can be trained on these images, before anything is written.

    Args:
        settings: resolved `Settings`.
        dataset: their `Dataset`.

    Returns:
        (the model, whose weights have shapes but no values; the weights that a fine-tuning starts
        from, by their paths, or None).

    Raises:
        SettingsError: it cannot.
        RunError: the run to start from cannot be read.
    """
    steps_per_epoch(settings, dataset)
    check_has_stem(settings)
    model = check_size(settings, dataset)
    if not settings.finetune:
        return model, None
    weights = finetuning.initial_weights(settings.finetune, model)
    finetuning.freeze(settings.finetune, model)
    finetuning.learning_rate_multipliers(model, settings.finetune.layer_decay)
    return model, weights


def check_size(settings: Settings, dataset: Dataset) -> keras.Model:
    """Refuse a model that the memory surely cannot hold while it is trained.

    Args:
        settings: resolved `Settings`.
        dataset: their `Dataset`.

    Returns:
        The model, whose weights have shapes but no values.

    Raises:
        SettingsError: it is too large; the message names its size.
    """
    classes = len(dataset.class_names)
    model = without_values(lambda: build_model(settings, dataset.image_shape, classes))
    if problem := too_large(model, WITH_GRADIENT, settings.data.images_per_step):
        raise SettingsError(f"model: {problem}; choose smaller widths, images or data.batch_size")
    return model


def initial_model(
    settings: Settings, dataset: Dataset, weights: Weights | None = None, resumes: bool = False
) -> keras.Model:
    """Build the model with the weights from which it is trained, and freeze its frozen layers.

    Args:
        settings: resolved `Settings`.
        dataset: their `Dataset`.
        weights: what `check_model` returned, which is emptied; by default they are read.
        resumes: whether a checkpoint will overwrite the weights anyway.
    """
    model = build_model(settings, dataset.image_shape, len(dataset.class_names))
    if settings.finetune:
        if not resumes:
            weights = weights or finetuning.initial_weights(settings.finetune, model)
            finetuning.assign_weights(model, weights)
        elif weights:
            weights.clear()  # they are not needed, and stay in memory otherwise
        finetuning.freeze(settings.finetune, model)
    elif settings.training.whiten_stem and not resumes:
        whiten_stem(model, dataset, settings.training.seed)
    return model


def steps_per_epoch(settings: Settings, dataset: Dataset) -> int:
    """Return the batches in an epoch: whole ones, a multiple of `steps_per_execution`."""
    batch, at_once = settings.data.images_per_step, settings.training.steps_per_execution
    steps = len(dataset.train) // batch // at_once * at_once
    if not steps:
        raise SettingsError(
            f"training.steps_per_execution: received {at_once}, expected at most the"
            f" {len(dataset.train)} training images"
        )
    accumulated = settings.optimizer.gradient_accumulation_steps
    if steps < accumulated:
        raise SettingsError(
            f"optimizer.gradient_accumulation_steps: received {accumulated}, expected at most the"
            f" {steps} batches of an epoch"
        )
    return steps
