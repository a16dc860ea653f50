"""One process at a time trains a run; the other leaves and names it."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from interrupted_training import HARD, Signal, build, cut
from kmixer.errors import KmixerWarning, RunError
from kmixer.files.lock import NAME, folder_lock

pytest.importorskip("fcntl", reason="the system has no such locks")


@pytest.fixture
def begun(tiny, tmp_path):
    """A run that was interrupted."""
    return cut(build(tiny, *HARD, "training.epochs=400"), tmp_path, Signal(1, 1))


def test_a_lock_is_held_by_one_and_named(tmp_path):
    script = f"from kmixer.files.lock import folder_lock\nwith folder_lock({str(tmp_path)!r}): pass"
    with folder_lock(tmp_path), folder_lock(tmp_path):  # who holds it has it
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
    assert f"in use by process {os.getpid()} on " in done.stderr
    assert not (tmp_path / NAME).exists()
    with folder_lock(tmp_path):
        pass


def test_the_lock_of_a_process_that_was_killed_is_taken_over(tmp_path):
    child = os.fork()
    if not child:
        with folder_lock(tmp_path):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert (tmp_path / NAME).exists()
    with folder_lock(tmp_path):
        pass


def test_a_folder_that_cannot_be_locked_is_told(tmp_path):
    (tmp_path / NAME).mkdir()
    with pytest.raises(RunError, match="no regular file"), folder_lock(tmp_path):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_without_locks_is_told_and_written_to(tmp_path, monkeypatch, number):
    def refuse(descriptor, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.warns(KmixerWarning, match="has no locks"), folder_lock(tmp_path) as descriptor:
        assert descriptor is None
    assert not (tmp_path / NAME).exists()


def test_a_run_that_is_in_use_is_left_alone(kmixer_cli, begun):
    with folder_lock(begun.folder):
        done = kmixer_cli("resume", begun.folder)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert f"in use by process {os.getpid()} on " in done.stderr


@pytest.mark.torture
def test_of_two_that_race_one_proceeds(begun, saw):
    command = [sys.executable, "-m", "kmixer_cli", "resume", str(begun.folder), "--quiet"]
    slowest = 0.0
    for _ in range(20):
        began = time.monotonic()
        both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        while all(process.poll() is None for process in both):
            time.sleep(0.01)
        slowest = max(slowest, time.monotonic() - began)
        loser, winner = sorted(both, key=lambda process: process.poll() is None)
        assert loser.returncode == 1
        assert f"in use by process {winner.pid} on " in loser.stderr.read()
        time.sleep(0.5)
        assert winner.poll() is None
        winner.kill()  # the next two find the lock of a dead process
        winner.wait()
    assert slowest < 2
    saw("two processes", f"20 of 20; the other had left after {slowest:.1f} s at the latest")
