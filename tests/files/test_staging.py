"""Folders that are either whole or not there; what killed processes leave is removed."""

import os
import signal

import pytest

from kmixer.errors import RunError
from kmixer.files.staging import remove_abandoned, remove_leftovers, replacing_folder

pytest.importorskip("fcntl", reason="the system has no such locks")
HEX = "0123456789abcdef"


def write(folder, text="new"):
    with replacing_folder(folder, "mark") as staged:
        (staged / "mark").write_text(text)


def killed(folder, moment):
    """Replace a folder in a process that kills itself at a moment."""
    child = os.fork()
    if not child:
        if moment == "between the renames":
            rename = os.replace
            seen = []

            def replace(*names, **where):
                rename(*names, **where)
                seen.append(names)
                if str(names[1]).endswith(".old"):
                    os.kill(os.getpid(), signal.SIGKILL)

            os.replace = replace
        with replacing_folder(folder, "mark") as staged:
            (staged / "mark").write_text("killed")
            if moment == "while it is filled":
                os.kill(os.getpid(), signal.SIGKILL)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def hidden(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("moment", ["while it is filled", "between the renames"])
@pytest.mark.parametrize("clean", ["the next one", "another format", "what locks the run"])
def test_what_a_killed_process_left_is_removed_and_the_old_folder_is_back(tmp_path, moment, clean):
    folder = tmp_path / "run" / "export" / "tflite"
    write(folder, "old")
    killed(folder, moment)
    assert hidden(folder.parent)
    if clean == "what locks the run":
        remove_leftovers(tmp_path / "run")
    else:
        write(folder if clean == "the next one" else folder.with_name("onnx"))
    assert hidden(folder.parent) == []
    assert (folder / "mark").read_text() == ("new" if clean == "the next one" else "old")


def test_a_folder_that_is_being_filled_is_left_alone(tmp_path):
    folder = tmp_path / "tflite"
    with replacing_folder(folder, "mark") as staged:
        (staged / "mark").write_text("first")
        child = os.fork()
        if not child:
            remove_abandoned(tmp_path)
            write(tmp_path / "onnx", "second")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert (staged / "mark").read_text() == "first"
    assert (folder / "mark").read_text() == "first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["onnx", "tflite"]


def test_what_is_not_named_as_ours_stays(tmp_path):
    for name in (".cache.tmp", ".a.0123.tmp", "b.0123456789abcdef.tmp", ".git"):
        (tmp_path / name).mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / f".c.{HEX}.tmp").symlink_to(tmp_path / "target")
    (tmp_path / f".d.{HEX}.tmp").write_text("a file")
    before = sorted(tmp_path.iterdir())
    remove_abandoned(tmp_path)
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "mark").write_text("canary")
    (tmp_path / "tflite").symlink_to(tmp_path / "target")
    with pytest.raises(RunError, match="tflite: is a link"):
        write(tmp_path / "tflite")
    assert (tmp_path / "target" / "mark").read_text() == "canary"


def test_a_failure_leaves_what_was_there(tmp_path):
    write(tmp_path / "tflite", "old")
    with pytest.raises(ValueError), replacing_folder(tmp_path / "tflite", "mark"):
        raise ValueError
    assert (tmp_path / "tflite" / "mark").read_text() == "old" and hidden(tmp_path) == []
    (tmp_path / "mine").mkdir()
    with pytest.raises(RunError, match="holds no mark"):
        write(tmp_path / "mine")


def test_without_locks_nothing_of_others_is_removed(tmp_path, monkeypatch):
    killed(tmp_path / "tflite", "while it is filled")

    def refuse(descriptor, operation):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    write(tmp_path / "tflite")
    assert (tmp_path / "tflite" / "mark").read_text() == "new" and len(hidden(tmp_path)) == 1
