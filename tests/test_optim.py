"""Settings → optimizer and schedule, by numbers that can be checked by hand."""

import keras
import pytest

from kmixer import settings_io, training
from kmixer.optim import build_optimizer

pytestmark = pytest.mark.backends


def test_exponential_schedule_multiplies_by_gamma_each_epoch(tiny, tmp_path):
    settings = settings_io.build(
        tiny,
        {"schedule": {"name": "exponential", "gamma": 0.5}, "training": {"epochs": 3}},
    )
    rates = [row["learning_rate"] for row in training.train(settings, root=tmp_path).history]
    assert rates == pytest.approx([0.01, 0.005, 0.0025])


def test_cosine_schedule_warms_up_and_ends_at_its_share():
    settings = settings_io.build(
        {"schedule": {"warmup_epochs": 2, "final_share": 0.1}, "training": {"epochs": 10}}
    )
    rate = build_optimizer(settings, 100)._learning_rate
    values = [float(keras.ops.convert_to_numpy(rate(step))) for step in (0, 100, 200, 600, 1000)]
    assert values == pytest.approx([0, 5e-4, 1e-3, 5.5e-4, 1e-4], rel=1e-4)


def test_muon_takes_the_blocks_matrices_and_adam_the_rest(tiny, tmp_path):
    settings = settings_io.build(tiny, {"optimizer": {"name": "muon", "weight_decay": 0.1}})
    model = training.train(settings, root=tmp_path).load_model()
    optimizer = build_optimizer(settings, 1)
    muon = {v.path for v in model.trainable_variables if not optimizer._should_use_adamw(v)}
    assert len(muon) == 8 and all("mixing" in path and "kernel" in path for path in muon)
    decayed = {
        v.path.rpartition("/")[2]
        for v in model.trainable_variables
        if optimizer._use_weight_decay(v)
    }
    assert decayed == {"kernel"}


def test_accumulated_gradients_are_averaged():
    """2 until the second step, then 2 - 0.1 · (1 + 3) / 2."""
    settings = settings_io.build(
        {"optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.0,
                       "gradient_accumulation_steps": 2},
         "schedule": {"name": "constant"}}
    )  # fmt: skip
    weight, optimizer = keras.Variable([2.0]), build_optimizer(settings, 1)
    values = []
    for gradient in (1.0, 3.0):
        optimizer.apply([keras.ops.full((1,), gradient)], [weight])
        values.append(float(keras.ops.convert_to_numpy(weight)[0]))
    assert values == pytest.approx([2.0, 1.8])


@pytest.mark.parametrize(("name", "after"), [("kernel", 1.8), ("bias", 1.9), ("gamma", 1.9)])
def test_l2_adds_a_share_of_the_weight_to_its_gradient(name, after):
    """2 - 0.1 · (1 + 0.5 · 2), and 2 - 0.1 · 1 without."""
    settings = settings_io.build(
        {"optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.0, "l2": 0.5},
         "schedule": {"name": "constant"}}
    )  # fmt: skip
    weight = keras.Variable([2.0], name=name)
    optimizer = build_optimizer(settings, 1)
    optimizer.apply([keras.ops.ones(1)], [weight])
    assert keras.ops.convert_to_numpy(weight) == pytest.approx(after)


def test_the_cosine_schedule_is_keras_own_with_its_warmup():
    settings = settings_io.build(
        {"optimizer": {"learning_rate": 0.03}, "training": {"epochs": 5},
         "schedule": {"name": "cosine", "warmup_epochs": 1, "final_share": 0.1}}
    )  # fmt: skip
    schedule = build_optimizer(settings, 10)._learning_rate
    expected = keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=40, alpha=0.1, warmup_target=0.03, warmup_steps=10
    )
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    for step in range(55):
        assert float(schedule(step)) == float(again(step)) == pytest.approx(float(expected(step)))
