"""The benchmark, on images so few that it takes seconds."""

from kmixer import benchmark, settings_io

# The names of what is reported without TensorFlow: what others' code does is measured with it.
OWN = {
    "train_over_step", "step_over_matmul", "step_over_backend_matmul", "pipeline_over_train",
    "accelerator_over_host",
}  # fmt: skip
# No stem whose FLOPs are to be found, and a warmup longer than what is measured of a training.
HARD = {
    "model": {"name": "mlp", "hidden_dims": [4]},
    "schedule": {"name": "cosine", "warmup_epochs": 2},
}


def test_every_rate_is_measured(tiny, monkeypatch):
    monkeypatch.setattr(benchmark, "find_spec", lambda name: None)
    done = []
    report = benchmark.benchmark(
        settings_io.build(tiny | HARD), steps=2, progress=lambda *counts: done.append(counts)
    )
    assert done[-1][0] == done[-1][1] == len(report["rates"]) and set(report["ratios"]) == OWN
    assert all(rate > 0 for rate in report["rates"].values())
