"""How a training gets its images: batches from the host, or indices into the accelerator's memory.

On the host, the pipeline gathers and augments, and pixels travel with every batch. Resident, the
images lie on the accelerator once, are looked up and augmented inside the compiled step, and only
their indices and the augmentation's random numbers travel. Both give the same images for the same
seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from ..augment import augmentation
from ..data.batches import EvaluationPlan, TrainingPlan, evaluation_batches, training_batches
from ..data.stored_images import join
from ..models.factory import with_resident_images
from .choices import class_weights
from .distribution import SINGLE_DEVICE, Devices

if TYPE_CHECKING:
    from ..config import Settings
    from ..data import Dataset


class Inputs:
    """The images of a training, as `augment.on` places them.

    Args:
        settings: resolved `Settings`.
        dataset: a `Dataset` with a validation split.
        steps: batches in an epoch.
        devices: the `Devices` that share each batch.
    """

    def __init__(
        self, settings: Settings, dataset: Dataset, steps: int, devices: Devices = SINGLE_DEVICE
    ) -> None:
        self.settings, self.dataset = settings, dataset
        self.steps, self.devices = steps, devices
        self.augmentation = augmentation(settings.augment)
        self.resident = settings.augment.on == "accelerator"

    def model_to_train(self, model: keras.Model) -> keras.Model:
        """Return `model`, or a model that looks the images up and augments them before it."""
        if not self.resident:
            return model
        images = np.asarray(join([self.dataset.splits[name].images for name in self._measured()]))
        precision = self.settings.training.precision
        return with_resident_images(images, self.augmentation, model, precision)

    def training_batches(self, first_epoch: int = 0, first_step: int = 0) -> Any:
        """Return the endless stream of training batches for `model_to_train`.

        Args:
            first_epoch: to begin with, counted from 0.
            first_step: of that epoch, counted from 0.
        """
        weighted = self.settings.training.class_weights == "balanced"
        plan = TrainingPlan(
            self.dataset.train,
            len(self.dataset.class_names),
            self.settings.data.images_per_step,
            self.settings.training.seed,
            self.steps,
            augment=self.augmentation,
            resident=self.resident,
            label_smoothing=self.settings.training.label_smoothing,
            class_weights=class_weights(self.dataset) if weighted else None,
            first_epoch=first_epoch,
            first_step=first_step,
            local_rows=self.devices.local_rows,
        )
        return training_batches(plan)

    def _measured(self) -> list[str]:
        """Return the splits that an epoch needs, in the order in which they lie resident."""
        tests = self.settings.training.test_every_epoch
        return ["train", "validation", *(["test"] if tests else [])]

    def evaluation_batches(self, name: str) -> Any:
        """Return one pass over a split's images, for `model_to_train`.

        Args:
            name: of the split: validation, or test where each epoch measures it.
        """
        splits, names = self.dataset.splits, self._measured()
        before = sum(len(splits[other]) for other in names[: names.index(name)])
        plan = EvaluationPlan(
            splits[name],
            len(self.dataset.class_names),
            resident_from=before if self.resident else None,
            draws=self.augmentation.draws if self.resident else 0,
            devices=self.devices.count,
            local_rows=self.devices.local_rows,
        )
        return evaluation_batches(plan)
