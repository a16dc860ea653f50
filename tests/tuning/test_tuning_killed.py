"""kill -9 at random points of a search: nothing is lost, nothing happens twice, all verdicts stay.

`test_tuning_simulated.py` kills at each write of the record; here the processes are real ones.
"""

import os
import random
import subprocess
import sys

import pytest

from kmixer.tuning.plan import ENGINES
from tuning_search import read_trials, tiny_search

KILLS = 10
MEASURED = {
    "seconds",
    "examples_per_second",
    "peak_memory_bytes",
}  # of a trial, which differ always

pytestmark = [
    pytest.mark.torture,
    pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs POSIX signals"),
]


@pytest.mark.parametrize(
    ("engine", "tuner"), [(engine, tuner) for engine in ENGINES for tuner in ENGINES[engine]]
)
def test_a_search_that_is_killed_ten_times_finds_the_same(
    kmixer_cli, image_folder, tmp_path, engine, tuner
):
    words = _search(image_folder, engine, tuner)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    _finish(kmixer_cli, words, whole)
    generator = random.Random(0)
    for kills in range(1, KILLS + 1):
        process = subprocess.Popen(
            [sys.executable, "-m", "kmixer_cli", *words],
            cwd=killed, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            process.wait(generator.uniform(3, 11))
            assert process.returncode == 0, process.stderr.read()
            break  # as few trials as a small grid has end between two kills
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if kills == KILLS // 2:  # KerasTuner's own file, half-written
            for oracle in (killed / "saved_models").rglob("oracle.json"):
                os.truncate(oracle, 20)
    _finish(kmixer_cli, words, killed)
    trials = [_compared(folder) for folder in (whole, killed)]
    assert trials[0] == trials[1] and len(trials[0]) >= 4
    best = [(folder / "saved_models/s/best.yaml").read_bytes() for folder in (whole, killed)]
    assert best[0] == best[1]


def _search(image_folder, engine, tuner):
    options = ["--engine", engine, "--tuner", tuner, "--keep", 20, "--trials", 6]
    rates = "1e-4,1e-2" if tuner == "grid" else "1e-4..1e-1:log"
    space = ("model.blocks=1,2", f"optimizer.learning_rate={rates}")
    epochs = 4 if tuner == "hyperband" else 2
    return tiny_search(image_folder, *options, name="s", epochs=epochs, space=space)


def _finish(kmixer_cli, words, folder):
    done = kmixer_cli(*words, cwd=folder, timeout=900)
    assert done.returncode == 0, done.stderr


def _compared(folder):
    """Return the rows of trials.csv without what is measured and where it is."""
    rows = read_trials(folder / "saved_models" / "s")
    return [{k: v for k, v in row.items() if k not in MEASURED | {"folder"}} for row in rows]
