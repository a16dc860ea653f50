"""One training on two devices, and in two processes: the same losses as on one."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from kmixer.errors import SettingsError
from kmixer.runs.run import load_run
from kmixer.training.distribution import SINGLE_DEVICE, Devices
from kmixer.training.resolve import check_devices

pytestmark = pytest.mark.backends
BACKEND = keras.backend.backend()
TWO = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
# Runs several commands in one process, on two of TensorFlow's CPUs where it is the backend.
PROGRAM = """
import json, os, sys
if os.environ["KERAS_BACKEND"] == "tensorflow":
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from kmixer_cli.main import main
for words in json.loads(sys.argv[1]):
    try:
        main(words)
    except SystemExit as end:
        if end.code:
            raise
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


def _start(*commands, **environment):
    """Start a process that runs the commands, one after the other, and return it."""
    text = json.dumps([[str(word) for word in words] for words in commands])
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, text], env=os.environ | environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _check(process, code=0, timeout=300):
    """Wait until the process ends, close its pipes, and return its stderr."""
    _, stderr = process.communicate(timeout=timeout)
    assert process.returncode == code, stderr
    return stderr


def _history(folder):
    return [(row["loss"], row["val_loss"]) for row in load_run(folder).history]


def _same(folder, other, within=2e-6):  # history.csv has six decimals
    assert len(_history(folder)) == len(_history(other))
    for mine, yours in zip(_history(folder), _history(other), strict=True):
        assert mine == pytest.approx(yours, abs=within)


@pytest.mark.slow
@distributes
def test_two_devices_give_the_losses_of_one(image_folder, tmp_path):
    trainings = [_train(image_folder, tmp_path / name, name) for name in ("none", "auto")]
    _check(_start(*trainings, **TWO))
    _same(tmp_path / "none", tmp_path / "auto")
    one, two = (load_run(tmp_path / name).metrics["best"]["test"] for name in ("none", "auto"))
    assert one["accuracy"] == two["accuracy"]


@distributes
@pytest.mark.slow
def test_images_are_mixed_with_their_labels_on_two_devices(image_folder, tmp_path):
    """Where the images lie on the accelerator, too."""
    mixed = ["mixup={probability: 0.5, alpha: 1}", "cutmix={probability: 0.5}", "on=accelerator"]
    words = [word for value in mixed for word in ("--set", f"augment.{value}")]
    trainings = [
        [*_train(image_folder, tmp_path / name, name, epochs=1), *words]
        for name in ("none", "auto")
    ]
    _check(_start(*trainings, **TWO))
    # A pixel half-way between two values may be rounded up in one place and down in another.
    _same(tmp_path / "none", tmp_path / "auto", 1e-4)
    location = load_run(tmp_path / "auto").settings.augment.on
    assert location == ("host" if BACKEND == "tensorflow" else "accelerator")
    if BACKEND == "tensorflow":
        single = load_run(tmp_path / "none").settings
        with pytest.raises(SettingsError, match=r"augment.on: received 'accelerator' with mixup"):
            check_devices(single, Devices(2))
        check_devices(single, SINGLE_DEVICE)


@distributes
@pytest.mark.slow
def test_two_devices_resume_within_an_epoch(image_folder, tmp_path):
    """Of batches that they cannot share evenly one image is left out."""
    cut, whole = (
        [*_train(image_folder, tmp_path / name, batch_size=15, validation=21, epochs=6),
         "--checkpoint-every", "3"]
        for name in ("cut", "whole")
    )  # fmt: skip
    process = _start(cut, **TWO)
    until = time.monotonic() + 120
    while not (tmp_path / "cut" / "history.csv").exists() and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _check(process, 143, 60)
    assert 0 < len(load_run(tmp_path / "cut").history) < 6
    _check(_start(["resume", tmp_path / "cut", "--quiet"], whole, **TWO))
    assert _history(tmp_path / "cut") == _history(tmp_path / "whole")
    run = load_run(tmp_path / "cut")
    assert run.settings.data.batch_size == 14 and len(run.history) == 6


def test_torch_refuses_in_one_line(image_folder, tmp_path):
    if BACKEND != "torch":
        pytest.skip("torch alone refuses")
    error = _check(_start(_train(image_folder, tmp_path / "run")), 2, 100)
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
    _check(_start(_train(image_folder, tmp_path / "one", "none")))
    for process in _processes(_train(image_folder, tmp_path / "two"), variables):
        _check(process)
    _same(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
@needs_jax
@pytest.mark.parametrize("killed", [0, 1])
def test_one_of_two_processes_is_killed_both_end_and_the_run_resumes(
    image_folder, tmp_path, killed
):
    run = tmp_path / "run"
    processes = _processes(_train(image_folder, run, epochs=30))  # as long as a kill takes to come
    until = time.monotonic() + 120
    while not (run / "history.csv").exists() and time.monotonic() < until:
        time.sleep(0.1)
    processes[killed].send_signal(signal.SIGKILL)
    began = time.monotonic()
    for process in processes:
        process.communicate(timeout=60)
    assert all(process.returncode for process in processes) and time.monotonic() - began < 60
    trained = len(load_run(run).history)
    assert trained < 30
    for process in _processes(["resume", run, "--quiet"]):
        _check(process)
    assert len(load_run(run).history) == 30


def test_each_process_has_its_rows():
    arrays = np.array([1, 2, 3, 4, 5, 6]), np.array(["a", "b", "c", "d", "e", "f"])
    second = Devices(count=3, process=1, processes=3).local_rows(arrays)
    assert [part.tolist() for part in second] == [[3, 4], ["c", "d"]]
    assert SINGLE_DEVICE.local_rows(arrays) is arrays and SINGLE_DEVICE.round_down(7) == 7
    assert Devices(count=4).round_down(7) == 4 and Devices(count=8).round_down(7) == 0
