"""Learning rates beyond all reason: the training stops at once and keeps what was good."""

import numpy as np
import pytest

import kmixer
from kmixer.config import loading
from kmixer.errors import DivergedError
from kmixer.runs.run import load_run

OPTIMIZERS = ["adam", "adamw", "sgd", "rmsprop", "lion", "muon"]


def diverge(tiny, folder, optimizer):
    """Train one good epoch, then go on at a learning rate of 10⁶; return the step that stopped it."""
    import keras

    class Faster(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.model.optimizer.learning_rate = 1e6

        def on_train_batch_end(self, batch, logs=None):
            self.step = batch + 1

    faster = Faster()
    settings = loading.build_settings(
        tiny, {"optimizer": {"name": optimizer}, "schedule": {"name": "constant"}}
    )
    with pytest.raises(DivergedError, match="kept: the weights of epoch 1") as caught:
        kmixer.train(settings, out=folder / optimizer, callbacks=[faster])
    assert caught.value.exit_code == 3
    run = load_run(folder / optimizer)
    assert len(run.history) == 1 and (run.folder / "curves.png").is_file()
    assert all(np.isfinite(weight).all() for weight in run.load_model().get_weights())
    return faster.step


@pytest.mark.whole
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_it_stops_in_the_step_that_shows_it(tiny, tmp_path, optimizer):
    assert diverge(tiny, tmp_path, optimizer) <= 2


@pytest.mark.slow
def test_it_stops_whatever_the_optimizer(tiny, tmp_path, saw):
    steps = {name: diverge(tiny, tmp_path, name) for name in OPTIMIZERS}
    assert max(steps.values()) <= 3
    saw(
        "divergence",
        "the loss is beyond 10,000 in step "
        + ", ".join(f"{n} ({name})" for name, n in steps.items()),
    )
