"""One training on two devices, and in two processes: the same losses as on one."""

import os
import signal
import socket
import subprocess
import sys
import time

import keras
import pytest

from kmixer.errors import SettingsError
from kmixer.runs.run import load_run
from kmixer.training.distribution import SINGLE_DEVICE, Devices
from kmixer.training.resolve import check_devices

pytestmark = pytest.mark.backends
BACKEND = keras.backend.backend()
TWO = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
TENSORFLOW = """
import sys, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from kmixer_cli.main import main
main(sys.argv[1:])
"""
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    FREE_PORT = free.getsockname()[1]
needs_jax = pytest.mark.skipif(BACKEND != "jax", reason="processes are JAX's")
distributes = pytest.mark.skipif(BACKEND == "torch", reason="Keras does not distribute on torch")


def _train(image_folder, out, distribute="auto", batch_size=16, validation=20, epochs=2):
    settings = {
        "data.validation_size": validation, "data.batch_size": batch_size, "model.patch_size": 4,
        "model.blocks": 2, "model.hidden_dim": 8, "model.tokens_mlp_dim": 4,
        "model.channels_mlp_dim": 8, "optimizer.learning_rate": 0.01, "augment.translation": 0.1,
        "training.epochs": epochs, "training.distribute": distribute,
        "augment.horizontal_flip": 0.5,
    }  # fmt: skip
    words = [word for path, value in settings.items() for word in ("--set", f"{path}={value}")]
    return ["train", image_folder, *words, "--out", out, "--quiet"]


def _start(words, **environment):
    start = ["-c", TENSORFLOW] if BACKEND == "tensorflow" else ["-m", "kmixer_cli"]
    return subprocess.Popen(
        [sys.executable, *start, *map(str, words)], env=os.environ | environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _history(folder):
    return [(row["loss"], row["val_loss"]) for row in load_run(folder).history]


def _same(folder, other, within=1e-6):
    assert len(_history(folder)) == len(_history(other))
    for mine, yours in zip(_history(folder), _history(other), strict=True):
        assert mine == pytest.approx(yours, abs=within)


@distributes
def test_two_devices_give_the_losses_of_one(image_folder, tmp_path):
    for name in ("none", "auto"):
        done = _start(_train(image_folder, tmp_path / name, name), **TWO)
        assert done.wait(300) == 0, done.stderr.read()
    _same(tmp_path / "none", tmp_path / "auto")
    assert load_run(tmp_path / "auto").metrics["best"]["test"]["accuracy"] > 0.5


@distributes
def test_a_batch_that_two_devices_cannot_share_is_made_even(image_folder, tmp_path):
    done = _start(_train(image_folder, tmp_path / "run", batch_size=15, validation=21), **TWO)
    assert done.wait(300) == 0, done.stderr.read()
    run = load_run(tmp_path / "run")
    assert run.settings.data.batch_size == 14 and len(run.history) == 2


@distributes
def test_images_are_mixed_with_their_labels_on_two_devices(image_folder, tmp_path):
    """Where the images lie on the accelerator, too."""
    for name in ("none", "auto"):
        words = _train(image_folder, tmp_path / name, name, epochs=1)
        mixed = [
            "mixup={probability: 0.5, alpha: 1}",
            "cutmix={probability: 0.5}",
            "on=accelerator",
        ]
        words += [word for value in mixed for word in ("--set", f"augment.{value}")]
        done = _start(words, **TWO)
        assert done.wait(300) == 0, done.stderr.read()
    # A pixel half-way between two values may be rounded up in one place and down in another.
    _same(tmp_path / "none", tmp_path / "auto", 1e-4)
    placed = load_run(tmp_path / "auto").settings.augment.on
    assert placed == ("host" if BACKEND == "tensorflow" else "accelerator")
    if BACKEND == "tensorflow":
        alone = load_run(tmp_path / "none").settings
        with pytest.raises(SettingsError, match=r"augment.on: received 'accelerator' with mixup"):
            check_devices(alone, Devices(2))
        check_devices(alone, SINGLE_DEVICE)


@distributes
def test_two_devices_go_on_within_an_epoch(image_folder, tmp_path):
    words = [*_train(image_folder, tmp_path / "cut", epochs=6), "--checkpoint-every", "3"]
    process = _start(words, **TWO)
    until = time.monotonic() + 120
    while not (tmp_path / "cut" / "history.csv").exists() and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143, process.stderr.read()
    assert 0 < len(load_run(tmp_path / "cut").history) < 6
    assert _start(["resume", tmp_path / "cut", "--quiet"], **TWO).wait(300) == 0
    words[words.index(tmp_path / "cut")] = tmp_path / "whole"
    assert _start(words, **TWO).wait(300) == 0
    assert _history(tmp_path / "cut") == _history(tmp_path / "whole")


def test_torch_refuses_in_one_line(image_folder, tmp_path):
    if BACKEND != "torch":
        pytest.skip("torch alone refuses")
    done = _start(_train(image_folder, tmp_path / "run"))
    assert done.wait(100) == 2
    error = done.stderr.read()
    assert "training.distribute: received 'auto' on torch" in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def _by_keras(number):
    return {
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": f"127.0.0.1:{FREE_PORT}",
        "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
        "KERAS_DISTRIBUTION_PROCESS_ID": str(number),
    }


def _by_slurm(number):
    return {
        "SLURM_JOB_ID": str(os.getpid()),  # JAX makes the port of it
        "SLURM_STEP_NODELIST": "127.0.0.1",
        "SLURM_NTASKS": "2",
        "SLURM_PROCID": str(number),
        "SLURM_LOCALID": str(number),
    }


def _processes(words, variables=_by_keras):
    return [_start(words, **variables(number)) for number in range(2)]


@needs_jax
@pytest.mark.parametrize("variables", [_by_keras, _by_slurm])
def test_two_processes_give_the_losses_of_one(image_folder, tmp_path, variables):
    done = _start(_train(image_folder, tmp_path / "one", "none"))
    assert done.wait(300) == 0, done.stderr.read()
    for process in _processes(_train(image_folder, tmp_path / "two"), variables):
        assert process.wait(300) == 0, process.stderr.read()
    _same(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
@needs_jax
@pytest.mark.parametrize("killed", [0, 1])
def test_one_of_two_processes_is_killed_both_end_and_the_run_resumes(
    image_folder, tmp_path, killed
):
    run = tmp_path / "run"
    processes = _processes(_train(image_folder, run, epochs=3000))
    until = time.monotonic() + 120
    while not (run / "history.csv").exists() and time.monotonic() < until:
        time.sleep(0.1)
    processes[killed].send_signal(signal.SIGKILL)
    began = time.monotonic()
    codes = [process.wait(60) for process in processes]
    assert all(codes) and time.monotonic() - began < 60
    trained = len(load_run(run).history)
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("epochs: 3000", f"epochs: {trained + 2}"))
    for process in _processes(["resume", run, "--quiet"]):
        assert process.wait(300) == 0, process.stderr.read()
    assert len(load_run(run).history) == trained + 2


def test_each_process_has_its_rows():
    batch = ([1, 2, 3, 4, 5, 6], ["a", "b", "c", "d", "e", "f"])
    import numpy as np

    arrays = tuple(map(np.array, batch))
    second = Devices(count=3, process=1, processes=3).local_rows(arrays)
    assert [part.tolist() for part in second] == [[3, 4], ["c", "d"]]
    assert SINGLE_DEVICE.local_rows(arrays) is arrays and SINGLE_DEVICE.round_down(7) == 7
    assert Devices(count=4).round_down(7) == 4 and Devices(count=8).round_down(7) == 0
