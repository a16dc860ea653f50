"""What is written goes into the folder that was meant, under names that nobody can guess."""

import os
import re
import threading

import pytest

from kmixer.errors import RunError
from kmixer.files import atomic
from kmixer.files.opened import appending, hidden_name, opened, refuse_links_below

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")


@pytest.fixture
def run(tmp_path):
    """(a run's folder with a folder in it, a folder outside with a canary)."""
    (tmp_path / "run" / "evaluation").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "metrics.json").write_text("canary")
    return tmp_path / "run", tmp_path / "outside"


def test_temporary_names_cannot_be_guessed(tmp_path):
    names = set()
    for _ in range(5):
        with atomic.replacing(tmp_path / "metrics.json") as temporary:
            names.add(temporary.name)
            temporary.write_text("1")
    assert len(names) == 5
    assert all(re.fullmatch(r"\.metrics\.[0-9a-f]{16}\.tmp\.json", name) for name in names)
    assert len(hidden_name("a" * 300, "tmp")) < 100


def test_a_link_is_replaced_and_its_target_stays(run):
    folder, outside = run
    (folder / "metrics.json").symlink_to(outside / "metrics.json")
    atomic.write_text(folder / "metrics.json", "new")
    assert (outside / "metrics.json").read_text() == "canary"
    assert not (folder / "metrics.json").is_symlink()
    assert (folder / "metrics.json").read_text() == "new"


def test_a_run_may_be_reached_through_links(run, tmp_path):
    folder, _ = run
    (tmp_path / "linked").symlink_to(folder)
    path = tmp_path / "linked" / "evaluation" / "test" / "metrics.json"
    atomic.make_folder(path.parent, within=tmp_path / "linked")
    atomic.write_text(path, "new", within=tmp_path / "linked")
    assert (folder / "evaluation" / "test" / "metrics.json").read_text() == "new"


@pytest.mark.parametrize("target", ["outside", "run", "missing", "."])
def test_a_folder_that_is_a_link_is_refused_in_one_line(run, tmp_path, target):
    folder, outside = run
    (folder / "evaluation").rmdir()
    (folder / "evaluation").symlink_to(tmp_path / target)
    for write in (
        lambda: atomic.make_folder(folder / "evaluation" / "test", within=folder),
        lambda: atomic.write_text(folder / "evaluation" / "metrics.json", "new", within=folder),
    ):
        with pytest.raises(RunError, match=r"evaluation: is a link; remove it") as caught:
            write()
        assert "\n" not in str(caught.value)
    assert [path.name for path in outside.iterdir()] == ["metrics.json"]
    assert (outside / "metrics.json").read_text() == "canary"


def test_a_folder_that_becomes_a_link_meanwhile_is_not_followed(run):
    folder, outside = run
    inner, away = folder / "evaluation", folder / "away"

    def exchange():
        while not done.is_set():
            inner.rename(away)
            inner.symlink_to(outside)
            inner.unlink()
            away.rename(inner)

    done, refused = threading.Event(), 0
    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        for _ in range(500):
            try:
                atomic.write_text(inner / "metrics.json", "new", within=folder)
            except RunError:
                refused += 1
    finally:
        done.set()
        thread.join()
    assert refused > 0
    assert [path.name for path in outside.iterdir()] == ["metrics.json"]
    assert (outside / "metrics.json").read_text() == "canary"


@pytest.mark.parametrize("kind", ["link", "dangling link", "hard link", "named pipe", "folder"])
def test_nothing_is_appended_to_what_is_no_file_of_its_own(run, kind):
    folder, outside = run
    path, canary = folder / "journal.jsonl", outside / "metrics.json"
    make = {
        "link": lambda: path.symlink_to(canary),
        "dangling link": lambda: path.symlink_to(outside / "missing"),
        "hard link": lambda: path.hardlink_to(canary),
        "named pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
    }
    make[kind]()
    with pytest.raises(RunError, match="no regular file"), appending(path) as descriptor:
        os.write(descriptor, b"more")
    assert canary.read_text() == "canary" and not (outside / "missing").exists()


def test_what_is_appended_to_keeps_what_it_holds(tmp_path):
    for text in (b"a", b"b"):
        with appending(tmp_path / "log") as descriptor:
            os.write(descriptor, text)
    assert (tmp_path / "log").read_bytes() == b"ab"


def test_names_are_made_once(tmp_path):
    with opened(tmp_path) as folder:
        os.close(folder.create("a"))
        with pytest.raises(FileExistsError):
            folder.create("a")
        (tmp_path / "b").symlink_to(tmp_path / "c")
        with pytest.raises(FileExistsError):
            folder.create("b")
        assert folder.status("c") is None


def test_no_descriptor_is_left_open(tmp_path):
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for number in range(50):
        atomic.make_folder(tmp_path / "a" / str(number) / "c", within=tmp_path)
        atomic.write_text(tmp_path / "a" / str(number) / "c" / "x", "1", within=tmp_path)
        with pytest.raises(RunError):
            atomic.write_text(tmp_path / "missing" / "x", "1", within=tmp_path)
    after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert after == before


def test_the_holder_of_a_file_decides_who_may_read_it(tmp_path):
    mask = os.umask(0o027)
    try:
        atomic.write_text(tmp_path / "a", "1")
    finally:
        os.umask(mask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("kind", ["link", "hard link", "folder"])
def test_what_another_program_will_write_into_leads_nowhere_else(tmp_path, kind):
    folder, canary = tmp_path / "within" / "own", tmp_path / "canary"
    refuse_links_below(folder, within=tmp_path)  # there is nothing yet
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").touch()
    refuse_links_below(folder, within=tmp_path)
    canary.touch()
    if kind == "link":
        (folder / "deep" / "x").symlink_to(canary)
    elif kind == "hard link":
        (folder / "deep" / "x").hardlink_to(canary)
    else:
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="is a link"):
        refuse_links_below(folder, within=tmp_path)
