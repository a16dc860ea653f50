"""The callback that measures the test images after each epoch, as many reports do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

if TYPE_CHECKING:
    from ..inputs import Inputs

    Logs = dict[str, Any] | None


class TestEveryEpoch(keras.callbacks.Callback):
    """Add `test_loss` and `test_accuracy` to an epoch's figures.

    Args:
        inputs: the training's `Inputs`.
    """

    __test__ = False  # pytest takes the name for a test's

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        self.inputs = inputs

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        # Averaged weights are measured here as `fit` measures them on the validation images.
        averages = self.inputs.settings.optimizer.ema
        callbacks = [keras.callbacks.SwapEMAWeights()] if averages else []
        metrics = self.model.evaluate(
            self.inputs.evaluation_batches("test"), callbacks=callbacks, return_dict=True, verbose=0
        )
        assert logs is not None
        logs |= {f"test_{key}": value for key, value in metrics.items()}
