"""kill -9 at random points of a training: what is gone on with ends as if nothing had been."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).with_name("kill_and_resume.py")
HARD = {
    "augment": {"translation": 0.2, "horizontal_flip": 0.5, "mixup": {}},
    "optimizer": {"learning_rate": 0.01, "ema": 0.9},
    "schedule": {"name": "exponential"},
    "plateau": {"patience": 1},
}

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and kill -9")


def kill(tiny, tmp_path, backend, kills):
    """Return what the harness saw in a process of that backend."""
    module = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}[backend]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{backend} is not installed")
    training = tiny["training"] | {
        "epochs": 8, "checkpoint_every": 2, "early_stopping": {"patience": 9}, "backend": backend,
    }  # fmt: skip
    model = tiny["model"] | {"dropout": 0.2, "stochastic_depth": 0.1}
    job = {
        "settings": tiny | HARD | {"training": training, "model": model},
        "root": str(tmp_path), "kills": kills, "seed": 0,
    }  # fmt: skip
    path = tmp_path / "job.json"
    path.write_text(json.dumps(job))
    done = subprocess.run(
        [sys.executable, str(HARNESS), str(path)], capture_output=True, text=True, check=False,
        env=os.environ | {"KERAS_BACKEND": backend}, timeout=3600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_three_kills_leave_no_trace(tiny, tmp_path):
    seen = kill(tiny, tmp_path, os.environ.get("KERAS_BACKEND", "tensorflow"), 3)
    assert seen["differences"] == []


@pytest.mark.torture
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_fifty_kills_leave_no_trace(tiny, tmp_path, backend, saw):
    seen = kill(tiny, tmp_path, backend, 50)
    assert seen["differences"] == [] and seen["writing"] >= 10
    saw(
        f"resume {backend}",
        f"{seen['kills']} of {seen['kills']}, {seen['writing']} of them while a checkpoint was being written",
    )
