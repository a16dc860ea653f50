"""Callbacks at every step: stop if the loss has diverged or a signal has come; seed torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from ...errors import DivergedError, InterruptedRunError

if TYPE_CHECKING:
    from ...runs.run import Run
    from ...runs.signals import StopRequest

    Logs = dict[str, Any] | None

# In nats: no model that learns is wrong with such certainty, and one that does not learn is near
# the logarithm of the number of classes.
MOST_LOSS = 1e4


class _KnowsEpoch(keras.callbacks.Callback):
    """A callback that knows in its steps which epoch it is in, counted from 0."""

    epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.epoch = epoch


class StopOnDivergence(_KnowsEpoch):
    """Raise `DivergedError` in the step whose loss is not finite or at least `MOST_LOSS`."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._check(float(logs["loss"]), f"step {batch + 1}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Check the validation loss too: the last step's update shows nowhere else."""
        self._check(float(logs["val_loss"]), "validation")

    def _check(self, loss: float, where: str) -> None:
        if not loss < MOST_LOSS:
            raise divergence(self.run, f"the loss is {loss:.4g}", self.epoch, where)


def divergence(run: Run, problem: str, epoch: int, where: str) -> DivergedError:
    """Return the `DivergedError` of a run.

    Args:
        run: the `Run`.
        problem: what diverged.
        epoch: in which it was seen, counted from 0.
        where: in that epoch.
    """
    kept = f"kept: the weights of epoch {epoch}" if epoch else "no epoch was whole"
    return DivergedError(
        f"diverged: {problem} in epoch {epoch + 1}, {where}; {kept} in {run.folder};"
        " try a lower --learning-rate"
    )


class StopOnSignal(_KnowsEpoch):
    """Raise `InterruptedRunError` after a step, or between batches of the validation.

    What was trained has been saved by then: it comes after `WriteRun`.
    """

    def __init__(self, run: Run, request: StopRequest) -> None:
        super().__init__()
        self.run, self.request = run, request

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._check_stop(f"step {batch + 1}")

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._check_stop("validation")

    def _check_stop(self, where: str) -> None:
        if self.request.signal is not None:
            raise InterruptedRunError(
                f"interrupted in epoch {self.epoch + 1}, {where}, and saved;"
                f" go on with: kmixer resume {self.run.folder}",
                self.request.signal,
            )


class SeedTorch(_KnowsEpoch):
    """Seed torch's global generator by (seed, epoch, step) before each step.

    Keras' dropout on torch draws from it instead of from a seed state that a checkpoint holds, and
    so does the data loader when it starts.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        import torch

        torch.manual_seed(hash((self.seed, self.epoch, batch)))
