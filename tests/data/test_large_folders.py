"""Folders of many images: memory, and the second start."""

import json
import os
import shutil
import subprocess
import sys

import pytest

import kmixer
from kmixer.runs import provenance
from large_folder import write_large_folder
from tiny_settings import tiny_settings

MOST_MEMORY = 3e9  # bytes
TRAINED = ["--blocks", "1", "--batch-size", "512", "--epochs", "1", "--patch-size", "16"]

PROGRAM = """
import json, resource, sys, time
from kmixer.data import load
calls = []
began = time.perf_counter()
dataset = load(sys.argv[1], progress=lambda *counts: calls.append(time.perf_counter() - began))
seconds = time.perf_counter() - began
print(json.dumps({"seconds": seconds, "first": calls[0], "sha256": dataset.fingerprint()}))
"""


@pytest.mark.whole
@pytest.mark.backends
def test_a_training_from_a_file_is_that_from_memory(image_folder, tmp_path):
    runs = []
    for in_memory in (True, False):
        settings = tiny_settings(image_folder, training={"epochs": 2})
        settings["data"]["in_memory"] = in_memory
        built = kmixer.build_settings(settings)
        runs.append(kmixer.train(built, root=tmp_path / str(in_memory)))
    first, second = runs
    assert first.info["data_sha256"] == second.info["data_sha256"]
    for key in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert [row[key] for row in first.history] == [row[key] for row in second.history]
    assert first.metrics["best"] == second.metrics["best"]
    assert first.metrics["last"] == second.metrics["last"]


@pytest.fixture
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KMIXER_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "cache"
    shutil.rmtree(tmp_path)  # gigabytes


@pytest.mark.torture
def test_two_hundred_thousand_images_need_less_memory_than_their_pixels(
    tmp_path, cache_folder, kmixer_cli, saw
):
    folder = write_large_folder(tmp_path / "large", 200_000)
    done = kmixer_cli("train", folder, *TRAINED, "--out", tmp_path / "run", timeout=3000)
    assert done.returncode == 0, done.stderr
    assert "2.5 GB of pixels are not kept in memory" in done.stdout
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    peak = metrics["peak_memory_bytes"]
    assert peak < MOST_MEMORY
    saw(
        "large sets",
        f"200,000 images of 64×64 RGB, 2.46 GB of pixels: peak resident memory {peak / 1e9:.2f} GB"
        f" ({metrics['device']})",
    )


@pytest.mark.torture
def test_sixty_thousand_images_are_read_faster_the_second_time(tmp_path, cache_folder, saw):
    folder = write_large_folder(tmp_path / "many", 60_000, side=32)
    first, second = (_load(folder) for _ in range(2))
    assert first["sha256"] == second["sha256"]
    assert first["first"] < 1 and second["first"] < 1
    assert second["seconds"] < first["seconds"] / 3
    saw(
        "decoded once",
        f"60,000 JPEGs of 32×32: {first['seconds']:.1f} s, then {second['seconds']:.1f} s"
        f" ({provenance.processor()})",
    )


def _load(folder):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)], capture_output=True, text=True,
        env=os.environ, timeout=1000, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)
