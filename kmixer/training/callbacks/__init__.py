"""The callbacks of a training, built from its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from .resuming import RestorePosition
from .saving import WriteRun
from .stopping import SeedTorch, StopOnDivergence, StopOnSignal

if TYPE_CHECKING:
    from ...config import Settings
    from ...config.optimizer import AnySchedule, PlateauSettings
    from ...config.settings import EarlyStoppingSettings
    from ...runs.run import Run
    from ...runs.signals import StopRequest
    from ..checkpoint import SavedArrays
    from ..checkpoint_state import Position

    Callbacks = list[keras.callbacks.Callback]

# Their counters belong in a checkpoint.
COUNTING = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.EarlyStopping)


def build_callbacks(
    run: Run, classifier: keras.Model, position: Position, arrays: SavedArrays, steps: int,
    request: StopRequest, started: float,
) -> tuple[Callbacks, WriteRun]:  # fmt: skip
    """Build the callbacks of a training in the order in which they must run.

    Args:
        run: the `Run`.
        classifier: the model that is saved, without the augmentation in front.
        position: the `Position` that the training continues from.
        arrays: what `checkpoint.load` returned beside it.
        steps: batches in an epoch.
        request: the `StopRequest`.
        started: `time.perf_counter()` when the command began.

    Returns:
        (callbacks, the `WriteRun` among them).
    """
    settings, of_settings = run.settings, keras_callbacks(run.settings)
    counting = [callback for callback in of_settings if isinstance(callback, COUNTING)]
    averaging = [c for c in of_settings if isinstance(c, keras.callbacks.SwapEMAWeights)]
    write = WriteRun(run, classifier, position, steps, request, counting, averaging, started)
    seeding = [SeedTorch(settings.training.seed)] if keras.backend.backend() == "torch" else []
    return [
        StopOnDivergence(run), *seeding, *of_settings, write, StopOnSignal(run, request),
        RestorePosition(counting, position, arrays),
    ], write  # fmt: skip


def keras_callbacks(settings: Settings) -> Callbacks:
    """Return Keras' own callbacks that the settings ask for; they suit any `model.fit`."""
    averaging = [keras.callbacks.SwapEMAWeights()] if settings.optimizer.ema else []
    return [*_schedule(settings.schedule), *averaging, *_plateau(settings.plateau),
            *_early_stopping(settings.training.early_stopping)]  # fmt: skip


def _schedule(schedule: AnySchedule) -> Callbacks:
    if schedule.name != "exponential":
        return []
    gamma = schedule.gamma

    def decayed(epoch: int, rate: float) -> float:
        return rate * gamma if epoch else rate  # keeps ReduceLROnPlateau's cuts

    return [keras.callbacks.LearningRateScheduler(decayed)]


def _plateau(plateau: PlateauSettings | None) -> Callbacks:
    if plateau is None:
        return []
    return [
        keras.callbacks.ReduceLROnPlateau(
            plateau.monitor, plateau.factor, plateau.patience, mode=_mode(plateau.monitor),
            min_lr=plateau.min_learning_rate,
        )
    ]  # fmt: skip


def _early_stopping(stopping: EarlyStoppingSettings | None) -> Callbacks:
    if stopping is None:
        return []
    return [
        keras.callbacks.EarlyStopping(
            stopping.monitor, stopping.min_delta, stopping.patience, mode=_mode(stopping.monitor)
        )
    ]


def _mode(monitor: str) -> str:
    return "max" if monitor == "val_accuracy" else "min"
