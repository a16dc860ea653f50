"""Which learning rates a model learns at: one short training whose rate rises from step to step.

Smith, arXiv 1506.01186, section 3.3 ("LR range test"), with a rate that rises exponentially.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from ..data.batches import close
from ..errors import DivergedError
from .complete import complete
from .initial_model import check_model, initial_model, steps_per_epoch
from .inputs import Inputs
from .optimizer import compile_model

if TYPE_CHECKING:
    from ..config import Settings
    from ..data import Dataset

SMOOTHING = 0.9  # of the losses' moving average
FEWEST_STEPS = 20
DIVERGED = 4.0  # times the least loss: the rate is too high
SETTLED = 10  # steps, after which the average counts more than its beginning: 1 / (1 - 0.9)


@dataclass(frozen=True)
class RangeTest:
    """What a range test measured.

    Attributes:
        rates: the learning rate of each step, `(steps,)`.
        losses: each step's loss on its batch, `(steps,)`; it ends where the loss diverged.
        smoothed: their moving average, `(steps,)`.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray

    @property
    def least(self) -> int:
        """The step with the least smoothed loss."""
        return int(np.argmin(self.smoothed))

    @property
    def steepest(self) -> int:
        """The step at which the settled average falls fastest, before it is least."""
        slopes = np.gradient(self.smoothed, np.log(self.rates))
        first = min(SETTLED, self.least)
        return first + int(np.argmin(slopes[first : self.least + 1]))

    @property
    def suggestion(self) -> float:
        """The rate at which the loss falls fastest, with two digits: a peak for a schedule."""
        return float(f"{self.rates[self.steepest]:.1e}")


def find_learning_rate(
    settings: Settings,
    dataset: Dataset,
    *,
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 200,
    progress: Callable[[int, int], object] | None = None,
) -> RangeTest:
    """Train once with a rate that rises from step to step, and write down each step's loss.

    Args:
        settings: `Settings`; their optimizer, model and augmentation are used, not their schedule.
        dataset: their images, with a validation split.
        lowest: the first step's learning rate.
        highest: the last step's; the training ends before it where the loss diverges.
        steps: how many.
        progress: called with (done, total) steps.

    Raises:
        DivergedError: the loss fell at no rate.
    """
    settings, _ = complete(settings, dataset)
    settings = settings.changed(training={"steps_per_execution": 1})
    check_model(settings, dataset)
    keras.utils.set_random_seed(settings.training.seed)
    inputs = Inputs(settings, dataset, steps_per_epoch(settings, dataset))
    model = inputs.model_to_train(initial_model(settings, dataset))
    rising = keras.optimizers.schedules.ExponentialDecay(lowest, steps - 1, highest / lowest)
    compile_model(model, settings, steps, learning_rate=rising)
    record = _Losses(progress)
    batches = inputs.training_batches()
    try:
        model.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[record])
    finally:
        close(batches)
    losses = np.array(record.losses)
    rates = lowest * (highest / lowest) ** (np.arange(len(losses)) / (steps - 1))
    return _checked(RangeTest(rates, losses, smooth(losses)))


def smooth(losses: np.ndarray) -> np.ndarray:
    """Return the moving average of losses, corrected for its beginning at 0 (as Adam's moments).

    Args:
        losses: `(steps,)`.
    """
    average, found = 0.0, []
    for step, loss in enumerate(losses, 1):
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        found.append(average / (1 - SMOOTHING**step))
    return np.array(found)


def _checked(found: RangeTest) -> RangeTest:
    beginning, least = found.losses[:SETTLED], found.smoothed[found.least]
    if least > beginning.mean() - beginning.std():  # within what batches differ by
        raise DivergedError(
            f"the loss fell at no learning rate from {found.rates[0]:.1e} to {found.rates[-1]:.1e}"
            f" (from {beginning.mean():.4f} to {least:.4f}); try other rates, or more steps"
        )
    return found


class _Losses(keras.callbacks.Callback):
    """Write down each batch's loss; end where it diverges."""

    def __init__(self, progress: Callable[[int, int], object] | None) -> None:
        super().__init__()
        self.progress, self.before = progress, 0.0
        self.losses: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        total = float(logs["loss"]) * (batch + 1)  # Keras gives the mean since the epoch began
        loss, self.before = total - self.before, total
        if self.progress:
            self.progress(batch + 1, self.params["steps"])
        if not np.isfinite(loss):
            self.model.stop_training = True
            return
        self.losses.append(loss)
        enough = len(self.losses) >= FEWEST_STEPS
        if enough and loss > DIVERGED * smooth(np.array(self.losses)).min():
            self.model.stop_training = True
