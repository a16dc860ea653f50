"""Write the runs of this version's format that later versions must read: `python tests/runs/make.py`.

Run it once where `runs.FORMAT` has grown, before anything else of the format changes, and commit
what it writes: `format-N`, a finished run; `format-N-unfinished`, one that a signal ended in its
second epoch; and in `expected.json` of each what it must say.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "support"))

import keras  # noqa: E402
import numpy as np  # noqa: E402

import kmixer  # noqa: E402
import tiny_dataset  # noqa: E402
from kmixer.config import loading  # noqa: E402
from kmixer.data.sources import image_folder  # noqa: E402
from kmixer.errors import InterruptedRunError  # noqa: E402
from kmixer.runs.run import FORMAT  # noqa: E402

LARGE = ("*.png", "tensorboard")  # nothing reads the pictures back


class StopInTheSecondEpoch(keras.callbacks.Callback):
    """Sends this process the signal of Ctrl-C, as a terminal does."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGINT)


def train(name, **options):
    """Train on the `halves` of the working folder."""
    settings = loading.build_settings(
        {"data": {"name": "halves", "batch_size": 16, "validation_size": 20},
         "model": {"patch_size": 4, "blocks": 1, "hidden_dim": 8, "tokens_mlp_dim": 4,
                   "channels_mlp_dim": 8, "dropout": 0.1},
         "augment": {"horizontal_flip": 0.5},
         "optimizer": {"learning_rate": 0.02}, "training": {"epochs": 3, "jit": False}}
    )  # fmt: skip
    return kmixer.train(settings, command="kmixer train halves", root=".", name=name, **options)


def keep(folder, expected):
    """Copy a run folder beside this file, with what later versions must find in it.

    Its images are named as they lie beside it, so that a test can put them there again.
    """
    kept = HERE / folder.name
    shutil.copytree(folder, kept, ignore=shutil.ignore_patterns(*LARGE))
    config = kept / "config.yaml"
    config.write_text(config.read_text().replace(os.path.abspath("halves"), "halves"))
    (kept / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")


def main():
    """Write both runs and what they say."""
    name = f"format-{FORMAT}"
    finished, whole = train(name), train("whole")
    images = image_folder.load("halves").test.images[::10]
    probabilities = np.round(finished.predict(images), 7).tolist()
    metrics = {"history": finished.history, "metrics": finished.metrics}
    keep(finished.folder, metrics | {"probabilities": probabilities})
    try:
        train(f"{name}-unfinished", callbacks=[StopInTheSecondEpoch()])
    except InterruptedRunError:
        keep(Path(f"{name}-unfinished"), {"history": whole.history})


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        tiny_dataset.write_images(Path("halves"))
        main()
