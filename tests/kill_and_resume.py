"""Trainings that are killed and gone on with: `python tests/kill_and_resume.py JOB.json`.

Everything is imported once; each training is a fork of this process, so that it begins at once.
Prints how often it killed, how often while a checkpoint was being written, and every difference.
"""

import csv
import json
import os
import random
import signal
import sys
import time
import zipfile
from pathlib import Path

import numpy as np

TIMED = {"seconds", "examples_per_second", "seconds_to_first_step", "peak_memory_bytes"}


def main(job):
    """Kill `job["kills"]` trainings of the same settings, and compare each with a whole one."""
    root, generator, writing, differences = Path(job["root"]), random.Random(job["seed"]), 0, []
    whole, seconds = _train(job, root / "whole")
    for kill in range(job["kills"]):
        folder = root / f"cut-{kill}"
        at = generator.uniform(0, seconds)
        writing += _train_and_kill(job, folder, at, while_writing=kill % 3 == 0)
        _train(job, folder)
        differences += [f"cut-{kill}: {name}" for name in different(whole, folder)]
    print(json.dumps({"kills": job["kills"], "writing": writing, "differences": differences}))


def different(one, other):
    """Return what of two run folders is not the same, bit for bit, but for measured times."""
    names = {path.name for path in one.iterdir()} ^ {path.name for path in other.iterdir()}
    return [
        *names,
        *(name for name, read in READERS.items() if read(one / name) != read(other / name)),
    ]


def _history(path):
    with path.open() as file:
        return [{k: v for k, v in row.items() if k not in TIMED} for row in csv.DictReader(file)]


def _metrics(path):
    return {k: v for k, v in json.loads(path.read_text()).items() if k not in TIMED}


def _arrays(path):
    with np.load(path) as file:
        state = json.loads(file["state"].tobytes())
        rows = [{k: v for k, v in row.items() if k not in TIMED} for row in state["rows"]]
        arrays = {name: file[name].tobytes() for name in file.files if name != "state"}
    return arrays | {"rows": rows, "counters": state["counters"], "step": state["step"]}


def _weights(path):
    with zipfile.ZipFile(path) as archive:
        import h5py

        with archive.open("model.weights.h5") as member, h5py.File(member) as file:
            found = {}
            file.visititems(lambda name, item: found.update(_values(name, item)))
            return found


def _values(name, item):
    return {name: item[()].tobytes()} if hasattr(item, "shape") else {}


READERS = {
    "history.csv": _history, "metrics.json": _metrics, "checkpoint.npz": _arrays,
    "checkpoint.previous.npz": _arrays, "model.keras": _weights,
    "curves.png": Path.read_bytes, "confusion_matrix.png": Path.read_bytes,
}  # fmt: skip


def _begin(job, folder):
    """Return the process that trains, or goes on with, a run."""
    child = os.fork()
    if child:
        return child
    try:
        from kmixer import settings_io, training

        training.train(settings_io.build(job["settings"]), out=folder, go_on=True, command="kmixer")
        os._exit(0)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(1)


def _train(job, folder):
    began = time.monotonic()
    _, status = os.waitpid(_begin(job, folder), 0)
    assert status == 0, f"{folder.name}: ended with {status}"
    return folder, time.monotonic() - began


def _train_and_kill(job, folder, at, while_writing):
    """Kill -9 after `at` seconds, or at the first checkpoint after that; say if it was in one."""
    child = _begin(job, folder)
    until = time.monotonic() + at
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        late = time.monotonic() > until
        if late and not (while_writing and not _half_written(folder)):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return bool(_half_written(folder))
        if not late:
            time.sleep(0.001)
    return False


def _half_written(folder):
    return list(folder.glob(".checkpoint.*"))


if __name__ == "__main__":
    import keras  # noqa: F401

    import kmixer.training  # noqa: F401

    main(json.loads(Path(sys.argv[1]).read_text()))
