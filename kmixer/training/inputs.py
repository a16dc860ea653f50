"""How a training gets its images: batches from the host, or indices into the accelerator's memory.

On the host, the pipeline gathers and augments, and pixels travel with every batch. Resident, the
images lie on the accelerator once, are looked up and augmented inside the compiled step, and only
their indices and the augmentation's draws travel. Both give the same images for the same seed.
"""

import numpy as np

from ..augment import augmentation
from ..data.batches import EvaluationPlan, TrainingPlan, evaluation_batches, training_batches
from ..models.factory import with_resident_images
from ..runs import provenance
from .distribution import ALONE

RESIDENT_BYTES = 4e9  # small beside any accelerator that trains


def place(settings, dataset):
    """Return where the images are to lie, `"host"` or `"accelerator"`, as `augment.on` has it."""
    if settings.augment.on:
        return settings.augment.on
    fits = sum(split.images.nbytes for split in dataset.splits.values()) <= RESIDENT_BYTES
    return "accelerator" if fits and provenance.accelerators() else "host"


def with_images(settings, dataset, model):
    """Return the model that the feed trains: `model`, or one with the images in front of it."""
    if settings.augment.on == "host":
        return model
    images = np.concatenate([dataset.train.images, dataset.validation.images])
    return with_resident_images(
        images, augmentation(settings.augment), model, settings.training.precision
    )


def streams(settings, dataset, steps, first_epoch=0, first_step=0, devices=ALONE):
    """Return the training and the validation batches for the model of `with_images`.

    Args:
        settings: resolved `Settings`.
        dataset: a `Dataset` with a validation split.
        steps: batches in an epoch.
        first_epoch: to begin with, counted from 0.
        first_step: of that epoch, counted from 0.
        devices: the `Devices` that share each batch.
    """
    resident, classes = settings.augment.on == "accelerator", len(dataset.class_names)
    augment = augmentation(settings.augment)
    training = TrainingPlan(
        dataset.train,
        classes,
        settings.data.batch_size,
        settings.training.seed,
        steps,
        augment=augment,
        resident=resident,
        label_smoothing=settings.training.label_smoothing,
        first_epoch=first_epoch,
        first_step=first_step,
        local_rows=devices.own,
    )
    validation = EvaluationPlan(
        dataset.validation,
        classes,
        resident_from=len(dataset.train) if resident else None,
        draws=augment.draws if resident else 0,
        devices=devices.count,
        local_rows=devices.own,
    )
    return training_batches(training), evaluation_batches(validation)
