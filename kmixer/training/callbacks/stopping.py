"""Callbacks that look at every step: has the loss diverged, has a signal come; torch's seed."""

import keras

from ...errors import DivergedError, InterruptedRunError

# In nats: no model that learns is wrong with such certainty, and one that does not learn is near
# the logarithm of the number of classes.
MOST_LOSS = 1e4


class _KnowsEpoch(keras.callbacks.Callback):
    """A callback that knows in its steps which epoch it is in, counted from 0."""

    epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch


class StopOnDivergence(_KnowsEpoch):
    """Raise `DivergedError` in the step whose loss is no finite number, or beyond all reason."""

    def __init__(self, run):
        super().__init__()
        self.run = run

    def on_train_batch_end(self, batch, logs=None):
        self._check(float(logs["loss"]), f"step {batch + 1}")

    def on_epoch_end(self, epoch, logs=None):
        """Look at the validation loss too: the last step's update shows nowhere else."""
        self._check(float(logs["val_loss"]), "validation")

    def _check(self, loss, where):
        if not loss < MOST_LOSS:
            raise diverged(self.run, f"the loss is {loss:.4g}", self.epoch, where)


def diverged(run, what, epoch, where):
    """Return the `DivergedError` of a run.

    Args:
        run: the `Run`.
        what: was seen.
        epoch: in which it was seen, counted from 0.
        where: in that epoch.
    """
    kept = f"kept: the weights of epoch {epoch}" if epoch else "no epoch was whole"
    return DivergedError(
        f"diverged: {what} in epoch {epoch + 1}, {where}; {kept} in {run.folder};"
        " try a lower --learning-rate"
    )


class StopOnSignal(_KnowsEpoch):
    """Raise `InterruptedRunError` after a step, or between batches of the validation.

    What was trained has been saved by then: it comes after `WriteRun`.
    """

    def __init__(self, run, request):
        super().__init__()
        self.run, self.request = run, request

    def on_train_batch_end(self, batch, logs=None):
        self._heed(f"step {batch + 1}")

    def on_test_batch_end(self, batch, logs=None):
        self._heed("validation")

    def _heed(self, where):
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

    def __init__(self, seed):
        super().__init__()
        self.seed = seed

    def on_train_batch_begin(self, batch, logs=None):
        import torch

        torch.manual_seed(hash((self.seed, self.epoch, batch)))
