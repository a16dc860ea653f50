"""The baseline in plain PyTorch is the same model, and learns."""

import keras
import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from kmixer.config import loading, presets
from kmixer.data import load_splits
from kmixer.models.factory import build_model
from kmixer.training.benchmark import Bench, benchmark
from kmixer.training.benchmark_torch import measures, train_step
from kmixer.training.resolve import resolve

if keras.backend.backend() != "torch":
    pytest.skip("it is measured beside any backend", allow_module_level=True)
pytestmark = pytest.mark.backends
OWN = {"mean": None, "std": None, "batch_size": 16, "validation_size": 20}


@pytest.fixture
def bench(image_folder):
    """A function that returns the `Bench` of a preset on images of 32×32 pixels or of its own."""

    def make(name, **changes):
        own = OWN | {"name": str(image_folder), "channels": None, "image_size": 32}
        settings = loading.build_settings(presets.read_preset(name), {"data": own}, changes)
        dataset = load_splits(settings.data)
        return Bench(resolve(settings, dataset), dataset, 1)

    return make


@pytest.mark.parametrize("name", ["fmnist", "fmnist-best", "cifar10", "cifar10-nano"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_is_the_same_model_and_learns(bench, name, precision, monkeypatch):
    made, models = bench(name), []
    adam = torch.optim.AdamW
    monkeypatch.setattr(
        torch.optim,
        "AdamW",
        lambda weights, rate: models.append(list(weights)) or adam(models[0], rate),
    )
    step = train_step(made, precision, False)
    ours = build_model(made.settings, made.dataset.image_shape, 2)
    shapes = [sorted(map(int, weight.shape)) for weight in ours.trainable_weights]
    assert sum(map(np.prod, shapes)) == sum(weight.numel() for weight in models[0])
    before = [weight.detach().clone() for weight in models[0]]
    step()
    assert all(not torch.equal(*pair) for pair in zip(before, models[0], strict=True))


def test_its_rates_are_measured_beside_ours(bench):
    report = benchmark(bench("cifar10-nano").settings, steps=1, only=("step", "plain_torch"))
    rates = report["rates"]
    ratio = report["ratios"]["step_over_plain_torch"]
    assert ratio == pytest.approx(rates["step"] / rates["plain_torch"], rel=0.05)


def test_other_models_have_no_such_baseline(bench):
    assert not measures(bench("fmnist", model={"norm_position": "post"}).settings.model)
    assert not measures(loading.build_settings({"model": {"name": "mlp"}}).model)
