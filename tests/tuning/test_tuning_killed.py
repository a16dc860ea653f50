"""kill -9 at random points of a search: nothing is lost, nothing happens twice."""

import os
import random
import subprocess
import sys

import pytest

from tuning_search import read_trials, tiny_search

KILLS, TRIALS = 20, 10

pytestmark = [
    pytest.mark.torture,
    pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs POSIX signals"),
]


@pytest.mark.parametrize("engine", ["keras-tuner", "optuna"])
def test_a_search_that_is_killed_twenty_times_finds_the_same(
    kmixer_cli, image_folder, tmp_path, engine
):
    options = ["--engine", engine, "--trials", TRIALS, "--keep", TRIALS]
    words = tiny_search(image_folder, *options, epochs=2)
    done = kmixer_cli(*words, "--name", "whole", cwd=tmp_path, timeout=900)
    assert done.returncode == 0, done.stderr
    generator, kills = random.Random(0), 0
    while kills < KILLS:
        process = subprocess.Popen(
            [sys.executable, "-m", "kmixer_cli", *words, "--name", "killed"],
            cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            process.wait(generator.uniform(3, 11))
            assert process.returncode == 0, process.stderr.read()
            pytest.fail(f"the search ended after {kills} kills: they came too late")
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        kills += 1
        if kills == 10:  # KerasTuner's own file, half-written
            for oracle in (tmp_path / "saved_models" / "killed").rglob("oracle.json"):
                os.truncate(oracle, 20)
    done = kmixer_cli(*words, "--name", "killed", cwd=tmp_path, timeout=900)
    assert done.returncode == 0, done.stderr
    whole, killed = (read_trials(tmp_path / "saved_models" / name) for name in ("whole", "killed"))
    assert len(killed) == TRIALS == len({row["trial"] for row in killed})
    same = ("trial", "state", "objective", "best_epoch", "model.blocks", "optimizer.learning_rate")
    for a, b in zip(whole, killed, strict=True):
        assert {key: a[key] for key in same} == {key: b[key] for key in same}
    best = [(tmp_path / "saved_models" / n / "best.yaml").read_text() for n in ("whole", "killed")]
    assert best[0].replace("whole", "") == best[1].replace("killed", "")
