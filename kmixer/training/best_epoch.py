"""Which epoch's weights are the best: by validation accuracy, by validation loss, or the last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ..config import Settings

BestEpoch = Literal["val_accuracy", "val_loss", "last"]

# One standard error of an accuracy of 80 % is 2 points with 400 images, and 4 points with 100: with
# fewer, the best of many epochs is the luckiest one.
ENOUGH_FOR_ACCURACY, ENOUGH_FOR_LOSS = 400, 100


def choose_best_epoch(settings: Settings, images: int) -> tuple[BestEpoch, str]:
    """Choose by how much the validation images can tell.

    Args:
        settings: `Settings`.
        images: in the validation split.

    Returns:
        (the choice, its reason).
    """
    if settings.data.train_on_validation:
        return "last", "the validation images are trained on"
    error = 100 * (0.8 * 0.2 / images) ** 0.5
    reason = f"{images:,} validation images tell accuracies to ± {error:.1f} points"
    if images >= ENOUGH_FOR_ACCURACY:
        return "val_accuracy", reason
    return ("val_loss" if images >= ENOUGH_FOR_LOSS else "last"), reason


def score(row: Mapping[str, Any], settings: Settings) -> tuple[float, ...]:
    """Return what the best epoch has the most of.

    Args:
        row: of the history.
        settings: the run's.
    """
    accuracy, loss = float(row["val_accuracy"]), float(row["val_loss"])
    scores = {
        "val_accuracy": (accuracy, -loss),
        "val_loss": (-loss,),
        "last": (float(row["epoch"]),),
    }
    # A run of an older version does not say it: the accuracy decided, where it could.
    before = "last" if settings.data.train_on_validation else "val_accuracy"
    return scores[settings.training.best_epoch or before]


def best_row(rows: Sequence[dict[str, Any]], settings: Settings) -> dict[str, Any]:
    """Return the row of the epoch whose weights model.keras holds: the first of the best."""
    return max(rows, key=lambda row: score(row, settings))
