"""A stream that is closed, or on a full disk, ends no command; the exit code tells what is lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kmixer.runs.run import load_run
from tiny_settings import tiny_flags

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")

KMIXER = f"{sys.executable} -P -m kmixer_cli"
# What follows the command in the shell → (its exit code, what is said on stderr)
STREAMS = {
    ">/dev/full": (1, "stdout: No space left on device"),
    ">/dev/full 2>/dev/full": (1, ""),
    "2>/dev/full": (0, ""),
    ">&-": (0, ""),
    "2>&-": (0, ""),
    "<&- >&- 2>&-": (0, ""),
}


def shell(command):
    return subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, check=False, env=dict(os.environ)
    )


@pytest.mark.parametrize("streams", STREAMS)
def test_what_cannot_be_printed_is_told_by_the_exit_code(streams):
    done = shell(f"{KMIXER} presets {streams}")
    code, said = STREAMS[streams]
    assert done.returncode == code and said in done.stderr and done.stderr.count("\n") == bool(said)


def test_a_reader_that_has_ended_is_no_news():
    done = shell(f"({KMIXER} presets; echo $? >&2) | true")
    assert done.stderr == "1\n"


def test_an_error_on_a_full_disk_keeps_its_exit_code():
    assert shell(f"{KMIXER} train nosuch 2>/dev/full").returncode in (1, 2)


@pytest.mark.slow
def test_a_training_whose_output_is_lost_ends_well(image_folder, tmp_path, saw):
    flags = " ".join(f"'{word}'" for word in tiny_flags(training={"epochs": 1}))
    streams = [*STREAMS, "| true"]
    for number, stream in enumerate(streams):
        out = tmp_path / str(number)
        done = shell(f"{KMIXER} train {image_folder} {flags} --out {out} {stream}")
        assert load_run(out).finished, (stream, done)
        assert stream == "| true" or done.returncode == STREAMS[stream][0]
    saw("odd streams", f"{len(streams)} of {len(streams)} trainings finished")
