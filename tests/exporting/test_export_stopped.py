"""An export that is stopped leaves nothing behind, whoever started it."""

import os
import shutil
import signal
import subprocess
import sys
import time

import keras
import pytest

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow" or os.name != "posix",
    reason="the conversions run in processes of their own, which POSIX signals stop",
)


def stopped_while_converting(command, folder, number):
    """Start a command, stop it when the half-made folder appears; return (exit code, stderr).

    It waits until all processes that the command has started are gone.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "kmixer_cli", *map(str, command)],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + 120
    while not (folder.is_dir() and any(folder.iterdir())):
        assert process.poll() is None and time.monotonic() < until, process.stderr.read()
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    _wait_until_the_group_is_empty(process.pid)
    return process.returncode, stderr


def _wait_until_the_group_is_empty(group):
    """Wait until no process is left of those that a command has started."""
    until = time.monotonic() + 60
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < until:
            os.killpg(group, 0)
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)],
)
def test_a_stopped_export_leaves_nothing(trained_run, tmp_path, number, code):
    command = ["export", trained_run.folder, "--format", "tflite", "--out", tmp_path / "out"]
    returned, stderr = stopped_while_converting(command, tmp_path / "out", number)
    assert returned == code and "interrupted" in stderr and "Traceback" not in stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_a_server_that_is_stopped_while_it_exports_takes_the_export_with_it(trained_run, tmp_path):
    copy = shutil.copytree(trained_run.folder, tmp_path / "run")
    command = ["serve", copy, "--port", 0]
    returned, stderr = stopped_while_converting(command, copy / "export", signal.SIGTERM)
    assert returned == 143 and "Traceback" not in stderr
    assert list((copy / "export").iterdir()) == []
