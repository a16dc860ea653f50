"""Reading never waits: named pipes, sockets and devices are refused before they are opened."""

import os
import socket
import subprocess
import sys

import pytest

from kmixer.errors import DataError, RunError
from kmixer.files.checksums import checksum
from kmixer.files.keras_archive import check_file
from kmixer.files.npz import read_arrays
from kmixer.files.regular import check_regular
from kmixer.files.text import read_text

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
KINDS = ("named pipe", "link to a named pipe", "socket", "device", "endless device", "folder")


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """A function that makes a file of a kind that is no regular one."""
    monkeypatch.chdir(tmp_path)  # a socket's path is short

    def make(kind, name):
        path = tmp_path / name
        if kind == "named pipe":
            os.mkfifo(path)
        elif kind == "link to a named pipe":
            os.mkfifo(tmp_path / "pipe")
            path.symlink_to(tmp_path / "pipe")
        elif kind == "socket":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(name)
        elif kind == "folder":
            path.mkdir()
        else:
            path.symlink_to("/dev/zero" if kind == "endless device" else "/dev/tty")
        return path

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_regular_file_is_refused_at_once(odd, kind):
    import kmixer.data.decode as decoding

    path = odd(kind, "x")
    with pytest.raises(OSError, match="it is a "):
        check_regular(path)
    for read in (checksum, read_arrays):
        with pytest.raises(OSError, match="it is a "):
            read(path)
    with pytest.raises(RunError, match="cannot be read: it is a "):
        read_text(path)
    with pytest.raises(RunError, match=r"no \.keras file"):
        check_file(path)
    with pytest.raises(DataError, match="cannot be read: it is a "):
        decoding.open_image(path)


def test_what_is_missing_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        check_regular(tmp_path / "x")


def test_the_user_s_own_streams_are_read():
    code = "from kmixer.files.text import read_text; print(read_text('/dev/stdin'))"
    done = subprocess.run(
        [sys.executable, "-c", code], input="text", capture_output=True, text=True, check=True
    )
    assert done.stdout == "text\n"


@pytest.mark.parametrize("kind", KINDS[:3])
def test_a_class_folder_with_odd_files_is_read_without_them(
    odd, kind, image_folder, tmp_path, run_command
):
    import shutil

    copy = shutil.copytree(image_folder, tmp_path / "copy")
    inside = next(path.parent for path in sorted(copy.rglob("*.png")))
    os.rename(odd(kind, "x.png"), inside / "x.png")
    done = run_command("data", "info", copy)
    assert done.returncode == 0 and "neither file nor folder" in done.stdout, done


@pytest.mark.parametrize("kind", KINDS[:3])
def test_files_of_a_run_that_are_none_are_refused(
    odd, kind, trained_run, tmp_path, run_command, saw
):
    import shutil

    image = odd(kind, "x.png")
    done = run_command("predict", trained_run.folder, image)
    assert done.returncode == 1 and "not a file" in done.stderr
    for name in ("labels.txt", "model.keras", "config.yaml"):
        copy = shutil.copytree(trained_run.folder, tmp_path / f"copy-{name}")
        (copy / name).unlink()
        os.rename(image, copy / name)
        done = run_command("predict", copy, image_path(trained_run))
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done
        os.rename(copy / name, image)
    saw("odd files", f"{len(KINDS)} kinds of files, each refused or left out at once")


def image_path(run):
    return run.settings.data.name
