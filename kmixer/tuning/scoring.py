"""How a trial is scored: by one training, or by the mean of several with other seeds or folds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SettingsError

if TYPE_CHECKING:
    from ..config import Settings


@dataclass(frozen=True)
class Scoring:
    """How many trainings a trial's score is the mean of.

    Attributes:
        folds: parts of the training images, each of which is once the validation split (k-fold
            cross-validation); None: the validation split of the settings.
        repeats: seeds that each of these is trained with; the folds are drawn anew for each.
    """

    folds: int | None = None
    repeats: int = 1

    def check(self, settings: Settings) -> None:
        """Refuse folds beside settings of the validation split that they replace.

        Raises:
            SettingsError: there are some.
        """
        for key in ("folds", "train_on_validation"):
            if self.folds and (value := getattr(settings.data, key)):
                raise SettingsError(
                    f"--folds: received {self.folds}, expected no data.{key} with it, which is"
                    f" {str(value).lower()}"
                )

    def trainings(self, folder: Path, settings: Settings) -> list[tuple[Path, Settings]]:
        """Return the folder and the settings of each training, the first in the trial's own.

        Args:
            folder: the trial's, such as `trials/trial-003`; the others are beside it, such as
                `trials/trial-003-seed1-fold2`.
            settings: of the trial.
        """
        own = [self._training(settings, repeat, fold) for repeat, fold in self._parts()]
        return list(zip(self.folders(folder), own, strict=True))

    def folders(self, folder: Path) -> list[Path]:
        """Return the folder of each training; see `trainings`."""
        return [
            folder.with_name(
                folder.name + f"-seed{repeat}" * bool(repeat) + f"-fold{fold}" * bool(fold)
            )
            for repeat, fold in self._parts()
        ]

    def _parts(self) -> Iterable[tuple[int, int]]:
        """Return (repeat, fold) of each training, both from 0."""
        return product(range(self.repeats), range(self.folds or 1))

    def _training(self, settings: Settings, repeat: int, fold: int) -> Settings:
        changed = settings.changed(training={"seed": settings.training.seed + repeat})
        if not self.folds:
            return changed
        data = {"folds": self.folds, "fold": fold, "split_seed": settings.data.split_seed + repeat}
        return changed.changed(data=data)

    def without_folds(self, settings: Settings, base: Settings) -> Settings:
        """Return the settings of a trial's training with the validation split of the search.

        Args:
            settings: of the run.
            base: of the search.
        """
        if not self.folds:
            return settings
        keys = ("folds", "fold", "split_seed", "validation_size")
        return settings.changed(data={key: getattr(base.data, key) for key in keys})
