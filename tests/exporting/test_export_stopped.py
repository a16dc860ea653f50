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
    """Start a command, stop it when the half-made folder appears; return (exit code, stderr)."""
    process = subprocess.Popen(
        [sys.executable, "-m", "kmixer_cli", *map(str, command)], stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 120
    while not (folder.is_dir() and any(folder.iterdir())):
        assert process.poll() is None and time.monotonic() < until, process.stderr.read()
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    return process.returncode, said


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_export_leaves_nothing(trained_run, tmp_path, number, code):
    command = ["export", trained_run.folder, "--format", "tflite", "--out", tmp_path / "out"]
    returned, said = stopped_while_converting(command, tmp_path / "out", number)
    assert returned == code and "interrupted" in said and "Traceback" not in said
    assert list((tmp_path / "out").iterdir()) == []


def test_a_server_that_is_stopped_while_it_exports_takes_the_export_with_it(trained_run, tmp_path):
    copy = shutil.copytree(trained_run.folder, tmp_path / "run")
    command = ["serve", copy, "--port", 0]
    returned, said = stopped_while_converting(command, copy / "export", signal.SIGTERM)
    assert returned == 143 and "Traceback" not in said
    time.sleep(2)  # a process that was forgotten would go on
    assert list((copy / "export").iterdir()) == []
