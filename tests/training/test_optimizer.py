"""Settings → optimizer and schedule, by numbers that can be checked by hand."""

import keras
import numpy as np
import pytest

import kmixer
from kmixer.config import loading
from kmixer.models.factory import build_model
from kmixer.training.optimizer import Extensions, build_optimizer

pytestmark = pytest.mark.backends


def _descent(**chosen):
    """Settings of plain gradient descent with a learning rate of 0.1."""
    plain = {"name": "sgd", "learning_rate": 0.1, "momentum": 0.0}
    return loading.build_settings({"optimizer": plain | chosen, "schedule": {"name": "constant"}})


def _apply(optimizer, weights, *gradients):
    optimizer.apply([keras.ops.full((1,), gradient) for gradient in gradients], weights)
    return [float(keras.ops.convert_to_numpy(weight)[0]) for weight in weights]


@pytest.mark.whole
def test_exponential_schedule_multiplies_by_gamma_each_epoch(tiny, tmp_path):
    settings = loading.build_settings(
        tiny,
        {"schedule": {"name": "exponential", "gamma": 0.5}, "training": {"epochs": 3}},
    )
    rates = [row["learning_rate"] for row in kmixer.train(settings, root=tmp_path).history]
    assert rates == pytest.approx([0.01, 0.005, 0.0025])


def test_cosine_schedule_warms_up_and_ends_at_its_share():
    settings = loading.build_settings(
        {"schedule": {"warmup_epochs": 2, "final_share": 0.1}, "training": {"epochs": 10}}
    )
    rate = build_optimizer(settings, 100)._learning_rate
    values = [float(keras.ops.convert_to_numpy(rate(step))) for step in (0, 100, 200, 600, 1000)]
    assert values == pytest.approx([0, 5e-4, 1e-3, 5.5e-4, 1e-4], rel=1e-4)


def test_muon_takes_the_blocks_matrices_and_adam_the_rest(tiny):
    settings = loading.build_settings(
        tiny,
        {"optimizer": {"name": "muon", "weight_decay": 0.1}, "data": {"mean": [0.5], "std": [1]}},
    )
    model = build_model(settings, (8, 8, 1), 2)
    optimizer = build_optimizer(settings, 1)
    optimizer.build(model.trainable_variables)
    muon = {v.path for v in model.trainable_variables if not optimizer._should_use_adamw(v)}
    assert len(muon) == 8 and all("mixing" in path and "kernel" in path for path in muon)
    decayed = {
        v.path.rpartition("/")[2]
        for v in model.trainable_variables
        if optimizer._use_weight_decay(v)
    }
    assert decayed == {"kernel"}


def test_accumulated_gradients_are_averaged():
    """Of three gradients and one, two and two are averaged: by 0.1 · 2, then by 0.1 · 6."""
    weight = keras.Variable([2.0])
    optimizer = build_optimizer(_descent(gradient_accumulation_steps=2), 3)
    values = [_apply(optimizer, [weight], gradient)[0] for gradient in (1.0, 3.0, 5.0, 7.0)]
    assert values == pytest.approx([2.0, 1.8, 1.8, 1.2])


def test_gradients_are_clipped_by_the_norm_of_all_together():
    """3 and 4 have the norm 5: they become 0.6 and 0.8; 0.3 and 0.4 stay."""
    optimizer = build_optimizer(_descent(clip_norm=1.0), 1)
    weights = [keras.Variable([0.0]), keras.Variable([0.0])]
    assert _apply(optimizer, weights, 3.0, 4.0) == pytest.approx([-0.06, -0.08])
    assert _apply(optimizer, weights, 0.3, 0.4) == pytest.approx([-0.09, -0.12])


@pytest.mark.parametrize(
    ("accumulated", "momentum", "expected"),
    [(1, 0.5, [-1, -1.5, -2.25]), (2, 0.25, [-1, -1.5, -2.375])],
)
def test_the_average_follows_the_weights(accumulated, momentum, expected):
    """From the first step's weight, half of the way at each batch: the weight is -1, -2, -3, and
    where two are accumulated 0, -1, then -1, -2, -2, -3.
    """
    chosen = {"ema": momentum, "gradient_accumulation_steps": accumulated, "learning_rate": 1.0}
    optimizer, weight = build_optimizer(_descent(**chosen), 1), keras.Variable([0.0])
    averages = []
    for _ in range(3):
        for _ in range(accumulated):
            _apply(optimizer, [weight], 1.0)
        (average,) = optimizer._model_variables_moving_average
        averages.append(float(keras.ops.convert_to_numpy(average)[0]))
    assert averages == pytest.approx(expected)
    assert keras.ops.convert_to_numpy(weight) == pytest.approx(-3)
    optimizer.finalize_variable_values([weight])
    assert keras.ops.convert_to_numpy(weight) == pytest.approx(averages[-1])


@pytest.mark.parametrize("nesterov", [True, False])
def test_muon_is_keras_own_for_all_matrices_together(tiny, nesterov):
    settings = loading.build_settings(
        tiny, {"optimizer": {"name": "muon", "weight_decay": 0.1}, "data": {"mean": [0.5]}}
    )
    ours = build_optimizer(settings.changed(data={"std": [1.0]}), 1)
    options = ours.get_config() | {"nesterov": nesterov}
    own_options = {k: v for k, v in options.items() if k != "newton_schulz_dtype"}
    weights = []
    for optimizer in (
        type(ours).from_config(options),
        keras.optimizers.Muon.from_config(own_options),
    ):
        variables = build_model(
            settings.changed(data={"std": [1.0]}), (8, 8, 1), 2
        ).trainable_variables
        optimizer.build(variables)
        random = np.random.default_rng(0)
        for variable in variables:
            variable.assign(random.normal(size=variable.shape).astype(np.float32))
        for _ in range(3):
            grads = [random.normal(size=v.shape).astype(np.float32) for v in variables]
            optimizer.apply([keras.ops.convert_to_tensor(g) for g in grads], variables)
        weights.append([keras.ops.convert_to_numpy(variable) for variable in variables])
    assert len(weights[0]) > 20
    for together, alone in zip(*weights, strict=True):
        assert together == pytest.approx(alone, rel=2e-5, abs=2e-5)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop", "lion", "muon"])
def test_norms_and_biases_are_not_decayed(tiny, name):
    """Without gradients, 2 becomes 2 - 0.1 · 0.5 · 2 in the kernels alone."""
    chosen = {"name": name, "weight_decay": 0.5, "learning_rate": 0.1}
    if name == "muon":
        chosen["adam_learning_rate"] = 0.1  # of the stem and the head
    settings = loading.build_settings(
        tiny, {"optimizer": chosen, "schedule": {"name": "constant"}, "data": {"mean": [0.5]}}
    )
    model = build_model(settings, (8, 8, 1), 2)
    weights = model.trainable_variables
    for weight in weights:
        weight.assign(keras.ops.full(weight.shape, 2.0))
    optimizer = build_optimizer(settings, 1)
    optimizer.build(weights)
    optimizer.apply([keras.ops.zeros(weight.shape) for weight in weights], weights)
    for weight in weights:
        expected = 1.9 if weight.path.endswith("kernel") else 2.0
        assert keras.ops.convert_to_numpy(weight) == pytest.approx(expected), weight.path
    assert {weight.name for weight in weights} == {"kernel", "bias", "gamma", "beta"}


@pytest.mark.parametrize(("name", "after"), [("kernel", 1.8), ("bias", 1.9), ("gamma", 1.9)])
def test_l2_adds_a_share_of_the_weight_to_its_gradient(name, after):
    """2 - 0.1 · (1 + 0.5 · 2), and 2 - 0.1 · 1 without."""
    optimizer = build_optimizer(_descent(l2=0.5), 1)
    assert _apply(optimizer, [keras.Variable([2.0], name=name)], 1.0) == pytest.approx([after])


@pytest.mark.parametrize("name", ["kernel", "bias", "gamma"])
def test_l2_reaches_norms_and_biases_where_it_is_asked_for(name):
    optimizer = build_optimizer(_descent(l2=0.5, l2_on_all=True), 1)
    assert _apply(optimizer, [keras.Variable([2.0], name=name)], 1.0) == pytest.approx([1.8])


def test_the_cosine_schedule_is_keras_own_with_its_warmup():
    settings = loading.build_settings(
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


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop", "lion", "muon"])
def test_an_extended_optimizer_is_a_class_that_its_config_makes_again(name):
    settings = _descent(name=name, l2=0.5) if name == "sgd" else loading.build_settings(
        {"optimizer": {"name": name, "l2": 0.5}}
    )  # fmt: skip
    optimizer = build_optimizer(settings, 1, {"kernel": 0.25})
    plain = build_optimizer(loading.build_settings({"optimizer": {"name": name}}), 1)
    assert isinstance(optimizer, Extensions) and isinstance(optimizer, type(plain))
    described = keras.saving.serialize_keras_object(optimizer)
    assert described["registered_name"].startswith("kmixer>Extended")
    again = keras.saving.deserialize_keras_object(described)
    assert type(again) is type(optimizer) and again.get_config() == optimizer.get_config()
    assert (again.l2, again.multipliers) == (0.5, {"kernel": 0.25})
    assert not isinstance(plain, Extensions)  # what needs no extension is Keras' own
