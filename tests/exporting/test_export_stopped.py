"""An export that is stopped leaves nothing behind, whoever started it."""

import os
import shutil
import signal
import subprocess
import sys
import time

import keras
import pytest

from in_process_export import export
from kmixer.evaluation.images import load_data
from kmixer.exporting.reference import Reference

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


@pytest.mark.whole
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)],
)
def test_a_stopped_export_leaves_nothing(trained_run, tmp_path, number, code):
    command = ["export", trained_run.folder, "--format", "tflite", "--out", tmp_path / "out"]
    returned, stderr = stopped_while_converting(command, tmp_path / "out", number)
    assert returned == code and "interrupted" in stderr and "Traceback" not in stderr
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
def test_a_server_that_is_stopped_while_it_exports_takes_the_export_with_it(trained_run, tmp_path):
    copy = shutil.copytree(trained_run.folder, tmp_path / "run")
    command = ["serve", copy, "--port", 0]
    returned, stderr = stopped_while_converting(command, copy / "export", signal.SIGTERM)
    assert returned == 143 and "Traceback" not in stderr
    assert list((copy / "export").iterdir()) == []


@pytest.mark.whole
@pytest.mark.parametrize("command", ["export", pytest.param("serve", marks=pytest.mark.slow)])
def test_a_killed_export_takes_its_converter_with_it_and_the_next_one_tidies(
    trained_run, tmp_path, command, saw
):
    copy = shutil.copytree(trained_run.folder, tmp_path / "run")
    words = ["--port", 0] if command == "serve" else ["--format", "tflite"]
    returned, _ = stopped_while_converting([command, copy, *words], copy / "export", signal.SIGKILL)
    assert returned == -signal.SIGKILL  # and all that it had started has ended
    left = [path.name for path in (copy / "export").iterdir()]
    assert len(left) == 1 and left[0].startswith(".tflite.")
    export(Reference(trained_run, load_data(trained_run)), "tflite", out=copy / "export")
    assert [path.name for path in (copy / "export").iterdir()] == ["tflite"]
    saw("killed exports", "no process is left, and the next export removes the half-made folder")
