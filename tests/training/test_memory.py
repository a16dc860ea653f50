"""A process's resident memory does not grow with its epochs, nor with its evaluations."""

import json
import os
import subprocess
import sys

import pytest

from installed import skip_without

MOST = 1.05  # of the memory after the third
FIGURES = {}

PROGRAM = """
import json, sys
from pathlib import Path

root, count = sys.argv[1], int(sys.argv[2])
from kmixer import backend
backend.select()
import keras
import kmixer
from kmixer.config import presets
from kmixer.evaluation.evaluate import evaluate
from kmixer.evaluation.images import choose_images

def resident():
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

class Watch(keras.callbacks.Callback):
    seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(resident())

preset = presets.read_preset("fmnist")
small = {
    "data": {"train_per_class": 500, "validation_size": 1000, "batch_size": 50},
    "model": {"blocks": 1, "hidden_dim": 32, "tokens_mlp_dim": 16, "channels_mlp_dim": 32},
    "training": {"epochs": count},
}
run = kmixer.train(kmixer.build_settings(preset, small), root=root, callbacks=[Watch()])
images = choose_images(run, split_name="validation")
evaluations = []
for _ in range(count):
    evaluate(run, images)
    evaluations.append(resident())
print(json.dumps({"training": Watch.seen, "evaluate": evaluations}))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="no /proc tells the memory")
@pytest.mark.parametrize(
    ("backend", "count"),
    [
        pytest.param("tensorflow", 8, marks=pytest.mark.slow),
        *(
            pytest.param(backend, 30, marks=pytest.mark.slow)
            for backend in ("tensorflow", "jax", "torch")
        ),
    ],
)
def test_memory_does_not_grow_after_the_third(tmp_path, backend, count, saw):
    skip_without(backend)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(count)], capture_output=True, text=True,
        env=os.environ | {"KERAS_BACKEND": backend, "OMP_NUM_THREADS": "1"}, timeout=1500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert [len(kilobytes) for kilobytes in seen.values()] == [count, count]
    grown = {what: kilobytes[-1] / kilobytes[2] for what, kilobytes in seen.items()}
    assert max(grown.values()) <= MOST, seen
    if count == 30:
        FIGURES[backend] = f"{backend} {grown['training']:.2f}, evaluate {grown['evaluate']:.2f}"
        saw("memory", "; ".join(FIGURES.values()))
