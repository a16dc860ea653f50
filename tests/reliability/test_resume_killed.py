"""Interruptions at random points of a training: resumed, it ends as if it had run through."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from installed import skip_without

HARNESS = Path(__file__).parent.parent / "support" / "kill_and_resume.py"
HARD = {
    "augment": {"translation": 0.2, "horizontal_flip": 0.5, "mixup": {}},
    "optimizer": {"learning_rate": 0.01, "ema": 0.9},
    "schedule": {"name": "exponential"},
    "plateau": {"patience": 1},
}
BACKENDS = ["tensorflow", "jax", "torch"]
HERE = os.environ.get("KERAS_BACKEND", "tensorflow")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and kill -9")


def interrupt(tiny, folder, backend, interruption, times, epochs=8, call=None, **changes):
    """Return the report of the harness, run in a process of that backend.

    With `call` a training is killed at the call of that number, from 0, that writes a checkpoint;
    else at a random time. `changes` are of the settings, by section.
    """
    skip_without(backend)
    training = tiny["training"] | {
        "epochs": epochs, "checkpoint_every": 2, "early_stopping": {"patience": 9}, "backend": backend,
    }  # fmt: skip
    model = tiny["model"] | {"dropout": 0.2, "stochastic_depth": 0.1}
    config = folder / "settings.yaml"
    config.write_text(
        yaml.safe_dump(tiny | HARD | {"training": training, "model": model} | changes)
    )
    job = {
        "data": tiny["data"]["name"], "config": str(config), "root": str(folder), "seed": 0,
        "times": times, "interruption": interruption, "call": call,
    }  # fmt: skip
    (folder / "job.json").write_text(json.dumps(job))
    done = subprocess.run(
        [sys.executable, str(HARNESS), str(folder / "job.json")], capture_output=True, text=True,
        env=os.environ | {"KERAS_BACKEND": backend}, timeout=3600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.backends
def test_a_kill_in_a_checkpoint_leaves_no_trace(tiny, tmp_path):
    seen = interrupt(tiny, tmp_path, HERE, "SIGKILL", 1, epochs=4, call=4)
    assert seen["problems"] == [] and seen["times"] == 1


@pytest.mark.torture
@pytest.mark.parametrize("backend", BACKENDS)
def test_fifty_kills_leave_no_trace(tiny, tmp_path, backend, saw):
    seen = interrupt(tiny, tmp_path, backend, "SIGKILL", 50)
    assert seen["problems"] == []
    assert seen["times"] == 50 and seen["writing"] >= 10
    saw(f"resume {backend}", f"50 of 50 identical, {seen['writing']} killed in a checkpoint")


@pytest.mark.torture
@pytest.mark.parametrize("backend", BACKENDS)
def test_ten_kills_in_bfloat16_with_muon_leave_no_trace(tiny, tmp_path, backend):
    """What `training.precision: auto` may choose, which writes it to config.yaml."""
    training = tiny["training"] | {
        "epochs": 8, "checkpoint_every": 2, "backend": backend, "precision": "mixed_bfloat16"
    }  # fmt: skip
    optimizer = {"name": "muon", "weight_decay": 0.1}
    seen = interrupt(tiny, tmp_path, backend, "SIGKILL", 10, training=training, optimizer=optimizer)
    assert seen["problems"] == [] and seen["times"] == 10


@pytest.mark.torture
@pytest.mark.parametrize("interruption", ["SIGTERM", "SIGINT", "twice", "SIGUSR1"])
def test_twenty_signals_are_heeded(tiny, tmp_path, interruption, saw):
    seen = interrupt(tiny, tmp_path, HERE, interruption, 20)
    assert seen["problems"] == []
    assert seen["times"] == 20 and seen["slowest"] < 10
    ended = f", ended within {seen['slowest']:.1f} s" if interruption != "SIGUSR1" else ""
    saw(f"signals {interruption}", f"20 of 20{ended}")
