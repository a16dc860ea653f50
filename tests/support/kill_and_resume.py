"""Trainings that are interrupted and resumed: `python tests/support/kill_and_resume.py JOB.json`.

Everything is imported once; each training is a fork of this process, which calls the command line
as a new process does. Prints what was seen, and every difference from a training left alone.
"""

import csv
import json
import os
import random
import signal
import sys
import time
import zipfile
from functools import partial
from pathlib import Path

import numpy as np

TIMED = {"seconds", "examples_per_second", "seconds_to_first_step", "peak_memory_bytes"}
# name: the signals that are sent, and how the training then ends
INTERRUPTIONS = {
    "SIGKILL": (["SIGKILL"], -9),
    "SIGTERM": (["SIGTERM"], 143),
    "SIGINT": (["SIGINT"], 130),
    "twice": (["SIGINT", "SIGINT"], 130),
    "SIGUSR1": (["SIGUSR1"], 0),
}
CHECKPOINT_CALLS = 3  # it is opened, opened to be flushed, renamed


def main(job):
    """Interrupt `job["times"]` trainings of the same settings, and compare each with a whole one."""
    root, generator = Path(job["root"]), random.Random(job["seed"])
    began = time.monotonic()
    assert end(begin(job, root / "whole")) == 0
    seconds = time.monotonic() - began
    seen = {"times": 0, "writing": 0, "slowest": 0.0, "problems": []}
    for number in range(2 * job["times"]):  # some are through before the signal comes
        if seen["times"] < job["times"]:
            _interrupt_once(job, root, generator, seconds, number, seen)
    print(json.dumps(seen))


def _interrupt_once(job, root, generator, seconds, number, seen):
    folder = root / f"cut-{number}"
    names, expected = INTERRUPTIONS[job["interruption"]]
    at, call = generator.uniform(0.1, 0.9 * seconds), generator.randrange(CHECKPOINT_CALLS)
    writing = number % 3 == 0 and "SIGKILL" in names
    if job["call"] is not None:  # at the same moment on every machine
        at, call, writing = 0.0, job["call"], True
    if writing:
        child = begin(job, folder, partial(_die_writing, at, call))
    else:
        child = begin(job, folder)
        time.sleep(at)
    sent = time.monotonic()
    for name in () if writing else names:
        os.kill(child, getattr(signal, name))
        time.sleep(0.005)
    code = end(child)
    if code not in (0, expected):  # 0: it was through before the signal came
        seen["problems"].append(f"cut-{number}: ended with {code}")
    if expected:
        seen["slowest"] = max(seen["slowest"], time.monotonic() - sent)
    seen["times"] += code == expected
    seen["writing"] += code == expected and writing
    assert end(begin(job, folder)) == 0
    seen["problems"] += [f"cut-{number}: {name}" for name in different(root / "whole", folder)]


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


def begin(job, folder, prepare=lambda: None):
    """Return the process that trains a run, or goes on with it.

    Args:
        job: with `data`, a data set, and `config`, a settings file.
        folder: the run's.
        prepare: called in that process first.
    """
    child = os.fork()
    if child:
        return child
    prepare()
    for number in (signal.SIGTERM, signal.SIGINT):  # whatever this process ignores
        signal.signal(number, signal.default_int_handler)
    from kmixer_cli.main import main as kmixer

    words = ["train", job["data"], "--config", job["config"], "--out", str(folder), "--resume"]
    try:
        kmixer([*words, "--quiet"])
    except SystemExit as ended:
        os._exit(ended.code or 0)
    os._exit(1)


def end(child):
    """Wait for a process to end and return its exit code, below 0 the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _die_writing(seconds, call):
    """Kill this process, after some seconds, at the n-th call by which a checkpoint is written."""
    began, calls = time.monotonic(), 0

    def audit(event, arguments):
        nonlocal calls
        if event in ("open", "os.rename") and ".checkpoint." in str(arguments[0]):
            calls += time.monotonic() - began > seconds
            if calls > call:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(audit)


if __name__ == "__main__":
    import keras  # noqa: F401

    import kmixer.training.train  # noqa: F401

    main(json.loads(Path(sys.argv[1]).read_text()))
