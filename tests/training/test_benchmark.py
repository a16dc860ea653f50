"""The benchmark, on images so few that it takes seconds."""

import pytest

from kmixer.config import loading
from kmixer.errors import SettingsError
from kmixer.training import benchmark

# The names of what is reported without TensorFlow: what others' code does is measured with it.
OWN = {
    "train_over_step", "step_over_matmul", "step_over_backend_matmul", "pipeline_over_train",
    "reading_over_train", "accelerator_over_host",
}  # fmt: skip
# No stem whose FLOPs are to be found, and a warmup longer than what is measured of a training.
HARD = {
    "model": {"name": "mlp", "hidden_dims": [4]},
    "schedule": {"name": "cosine", "warmup_epochs": 2},
}


@pytest.mark.whole
def test_every_rate_is_measured(tiny, monkeypatch):
    monkeypatch.setattr(benchmark, "find_spec", lambda name: None)
    done = []
    report = benchmark.benchmark(
        loading.build_settings(tiny | HARD), steps=2, progress=lambda *counts: done.append(counts)
    )
    assert done[-1][0] == done[-1][1] == len(report["rates"]) and set(report["ratios"]) == OWN
    assert all(rate > 0 for rate in report["rates"].values())


@pytest.mark.whole
def test_one_rate_alone_is_measured_and_gives_the_seconds_of_an_epoch(tiny):
    report = benchmark.benchmark(loading.build_settings(tiny), steps=1, only=("step",))
    assert set(report["rates"]) == {"step"} and report["ratios"] == {}
    assert report["peak_memory_bytes"] > 1e8  # TensorFlow, JAX or torch alone take more
    # 100 images are left for training
    assert report["epoch_seconds"] == pytest.approx(100 / report["rates"]["step"], abs=0.06)


def test_a_rate_that_is_not_measured_is_refused(tiny):
    with pytest.raises(SettingsError, match="--only: received 'stepp'"):
        benchmark.benchmark(loading.build_settings(tiny), only=("stepp",))
