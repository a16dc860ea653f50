"""Decoded images that are kept: the same data set again, never a stale or damaged one."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kmixer.data import cache, decode, load, memory
from kmixer.data.cache import CacheFolder, find_cache_folder
from kmixer.data.memory import is_large
from kmixer.data.sources.image_folder import decoder, describing, listing, reading
from kmixer.data.stored_images import StoredImages
from kmixer.errors import SettingsError

COUNT = 20  # images of each class


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """An empty cache, in which everything is kept, however fast it was made."""
    monkeypatch.setenv("KMIXER_CACHE", str(tmp_path / "cache"))
    for module in (reading, describing):
        monkeypatch.setattr(module, "SLOW_SECONDS", -1.0)
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path):
    generator = np.random.default_rng(0)
    for label in "ab":
        (tmp_path / "photos" / label).mkdir(parents=True)
        for index in range(COUNT):
            pixels = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{index}.png")
    return tmp_path / "photos"


@pytest.fixture
def read_files(monkeypatch):
    """The files that are described and decoded, as they come."""
    seen = {"described": [], "decoded": []}
    decode, describe = decoder.decode, listing.describe

    def counted_decode(path, *arguments, **options):
        seen["decoded"].append(path)
        return decode(path, *arguments, **options)

    def counted_describe(path, *arguments, **options):
        seen["described"].append(path)
        return describe(path, *arguments, **options)

    monkeypatch.setattr(decoder, "decode", counted_decode)
    monkeypatch.setattr(listing, "describe", counted_describe)
    return seen


def same(first, second):
    for name, split in first.splits.items():
        other = second.splits[name]
        assert np.array_equal(split.images, other.images)
        assert np.array_equal(split.labels, other.labels)
        assert np.array_equal(split.files, other.files)
    return first.fingerprint() == second.fingerprint() and first.skipped == second.skipped


def pixel_file(folder):
    (found,) = [entry for entry in CacheFolder(folder).entries() if len(entry.facts["shape"]) == 4]
    return found.path


def test_a_second_time_nothing_is_read_again(folder, read_files):
    first = load(str(folder))
    assert len(read_files["decoded"]) == len(read_files["described"]) == 2 * COUNT
    second = load(str(folder))
    assert len(read_files["decoded"]) == len(read_files["described"]) == 2 * COUNT
    assert same(first, second) and first.notes == second.notes


def test_a_folder_may_be_named_in_several_ways(folder, read_files, monkeypatch, tmp_path):
    first = load(str(folder))
    monkeypatch.chdir(folder.parent)
    (tmp_path / "link").symlink_to(folder)
    for name in ("photos", "./photos/", "../" + folder.parent.name + "/photos", "link"):
        assert same(first, load(name))
    monkeypatch.chdir(folder)
    assert same(first, load("."))
    assert len(read_files["decoded"]) == 2 * COUNT


def test_what_could_not_be_decoded_is_told_again(folder):
    whole = (folder / "a" / "3.png").read_bytes()
    (folder / "a" / "3.png").write_bytes(whole[: len(whole) // 2])
    (folder / "b" / "7.png").write_text("no image")
    first, second = load(str(folder)), load(str(folder))
    assert len(first.skipped) == 2 and same(first, second) and first.notes == second.notes


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(
    "problem", [OSError(5, "Input/output error"), MemoryError(), OSError(24, "Too many open files")]
)
def test_what_the_system_could_not_read_is_tried_again(folder, monkeypatch, in_memory, problem):
    whole = load(str(folder), cache=False)

    def fail(path):
        raise problem

    with monkeypatch.context() as patch:
        original = decode._open
        patch.setattr(
            decode,
            "_open",
            lambda path: (fail if str(path).endswith("b/7.png") else original)(path),
        )
        assert len(load(str(folder), in_memory=in_memory).skipped) == 1
    assert same(whole, load(str(folder), in_memory=in_memory))


def test_other_settings_are_other_images(folder, read_files):
    sizes = [load(str(folder), image_size=size).image_shape for size in (None, 4, 6, 4)]
    assert sizes == [(8, 8, 3), (4, 4, 3), (6, 6, 3), (4, 4, 3)]
    assert load(str(folder), channels=1).image_shape == (8, 8, 1)
    assert len(read_files["decoded"]) == 4 * 2 * COUNT


def _repaint(folder):
    path = folder / "a" / "0.png"
    Image.new("RGB", (8, 8), "red").save(path)


def _repaint_with_the_old_size_and_date(folder):
    path, twin = folder / "a" / "0.png", folder / "a" / "1.png"
    times = path.stat().st_mtime_ns
    assert path.stat().st_size == twin.stat().st_size
    path.write_bytes(twin.read_bytes())
    os.utime(path, ns=(times, times))


def _rename(folder):
    (folder / "b" / "2.png").rename(folder / "b" / "new.png")


def _move_to_another_class(folder):
    (folder / "b" / "2.png").rename(folder / "a" / "moved.png")


def _add(folder):
    shutil.copy(folder / "a" / "0.png", folder / "a" / "more.png")


def _remove(folder):
    (folder / "a" / "0.png").unlink()


@pytest.mark.parametrize(
    "change",
    [_repaint, _repaint_with_the_old_size_and_date, _rename, _move_to_another_class, _add, _remove],
)
def test_a_changed_folder_is_read_anew(folder, change):
    load(str(folder))
    change(folder)
    assert same(load(str(folder)), load(str(folder), cache=False))


def _write_at_once(folder):
    """Write two images of one size, with the same times: those of the file system are coarse."""
    folder.mkdir()
    for name, level in (("black", 0), ("white", 255)):
        Image.new("L", (8, 8), level).save(folder / f"{name}.bmp")
    paths = list(folder.iterdir())
    for _ in range(10_000):
        for path in paths:
            os.utime(path, ns=(10**18, 10**18))
        if len({path.stat().st_ctime_ns for path in paths}) == 1:
            return
    pytest.skip("a file system whose times differ")


def test_a_link_that_leads_to_another_file_is_read_anew(folder, tmp_path):
    _write_at_once(tmp_path / "store")
    link = folder / "a" / "x.bmp"
    for name, level in (("black", 0), ("white", 255)):
        link.unlink(missing_ok=True)
        link.symlink_to(tmp_path / "store" / f"{name}.bmp")
        train = load(str(folder)).splits
        images = {file: image for split in train.values() if split.files is not None
                  for file, image in zip(split.files, split.images, strict=True)}  # fmt: skip
        assert (images["a/x.bmp"] == level).all()


def _cut(path):
    os.truncate(path, path.stat().st_size - 5)


def _cut_to_nothing(path):
    os.truncate(path, 0)


def _append(path):
    with path.open("ab") as file:
        file.write(b"more")


def _flip(position):
    def flip(path):
        content = bytearray(path.read_bytes())
        content[position] ^= 1
        path.write_bytes(content)

    return flip


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(
    "damage", [_cut, _cut_to_nothing, _append, _flip(0), _flip(3000), _flip(-60), _flip(-1)]
)
def test_a_damaged_file_is_made_anew(folder, cache_folder, read_files, damage, in_memory):
    first = load(str(folder))
    damage(pixel_file(cache_folder))
    read_files["decoded"].clear()
    second = load(str(folder), in_memory=in_memory)
    assert same(first, second) and len(read_files["decoded"]) == 2 * COUNT
    third = load(str(folder), in_memory=in_memory)
    assert same(first, third) and len(read_files["decoded"]) == 2 * COUNT


def test_damaged_descriptions_are_made_anew(folder, cache_folder):
    first = load(str(folder))
    for entry in CacheFolder(cache_folder).entries():
        _flip(2)(entry.path)
    assert same(first, load(str(folder)))


@pytest.mark.parametrize("cached", [True, False])
def test_images_in_a_file_are_those_in_memory(folder, cached):
    in_memory = load(str(folder), in_memory=True, cache=cached)
    from_file = load(str(folder), in_memory=False, cache=cached)
    assert isinstance(from_file.train.images, StoredImages)
    assert isinstance(in_memory.train.images, np.ndarray)
    assert same(in_memory, from_file)
    where = "cache" if cached else "until the command ends"
    assert where in " ".join(from_file.notes)
    cut = [data.with_validation(6, 2) for data in (in_memory, from_file)]
    assert same(*cut) and isinstance(cut[1].validation.images, StoredImages)


def test_no_cache_keeps_nothing(folder, cache_folder):
    load(str(folder), cache=False)
    assert not cache_folder.exists()


def test_what_is_quickly_made_is_not_kept(folder, cache_folder, monkeypatch):
    for module in (reading, describing):
        monkeypatch.setattr(module, "SLOW_SECONDS", 60.0)
    load(str(folder))
    assert not cache_folder.exists()


def test_what_was_used_least_recently_goes_first(folder, cache_folder, monkeypatch):
    size = COUNT * 2 * 16 * 16 * 3
    for step, side in enumerate((16, 17, 18)):
        load(str(folder), image_size=side)
        for entry in CacheFolder(cache_folder).entries()[:1]:
            os.utime(entry.path, (step, step))
    load(str(folder), image_size=16)  # now it was used last
    monkeypatch.setenv("KMIXER_CACHE_SIZE", str(4 * size))
    load(str(folder), image_size=15)
    shapes = [entry.facts["shape"][1:] for entry in CacheFolder(cache_folder).entries()]
    assert [15, 15, 3] in shapes and [16, 16, 3] in shapes and [17, 17, 3] not in shapes
    total = sum(path.stat().st_size for path in cache_folder.iterdir())
    assert total <= 4 * size + 10_000  # and the footers


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_set_larger_than_the_cache_is_read_and_said(folder, cache_folder, monkeypatch, in_memory):
    monkeypatch.setenv("KMIXER_CACHE_SIZE", "1K")
    loaded = load(str(folder), in_memory=in_memory)
    assert same(loaded, load(str(folder), cache=False))
    said = [note for note in loaded.notes if "not kept for the next time" in note]
    assert len(said) == 1 and "KMIXER_CACHE_SIZE" in said[0]
    assert not list(cache_folder.glob("*.kmixer"))


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_cache_that_cannot_be_written_is_no_error(folder, cache_folder, in_memory):
    cache_folder.write_text("a file where the folder should be")
    loaded = load(str(folder), in_memory=in_memory)
    assert same(loaded, load(str(folder), cache=False))
    assert len([note for note in loaded.notes if "not kept for the next time" in note]) == 1


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_disk_that_gets_full_is_no_error(folder, cache_folder, monkeypatch, in_memory):
    def full(self, pixels):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.EntryWriter, "write", full)
    loaded = load(str(folder), in_memory=in_memory)
    monkeypatch.undo()
    assert same(loaded, load(str(folder), cache=False))
    assert "No space left on device" in " ".join(loaded.notes)
    assert not cache_folder.exists() or not list(cache_folder.iterdir())


def test_the_folder_of_the_cache(monkeypatch, tmp_path):
    for name in ("KMIXER_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_cache_folder().path == tmp_path / ".cache" / "kmixer"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert find_cache_folder().path == tmp_path / ".cache" / "kmixer"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert find_cache_folder().path == tmp_path / "xdg" / "kmixer"
    monkeypatch.setenv("KMIXER_CACHE", "~/own")
    assert find_cache_folder().path == tmp_path / "own"


def test_without_a_home_nothing_is_kept(folder, monkeypatch):
    for name in ("KMIXER_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert find_cache_folder() is None
    assert len(load(str(folder), in_memory=False).train)


@pytest.mark.parametrize(
    ("text", "size"), [("", 10**10), ("500", 500), ("20GB", 2 * 10**10), ("1.5 m", 1_500_000)]
)
def test_the_size_of_the_cache(monkeypatch, text, size):
    monkeypatch.setenv("KMIXER_CACHE_SIZE", text)
    assert find_cache_folder().limit == size


def test_a_cache_of_no_size_keeps_nothing_and_says_nothing(folder, cache_folder, monkeypatch):
    monkeypatch.setenv("KMIXER_CACHE_SIZE", "0")
    loaded = load(str(folder))
    assert not cache_folder.exists() and "kept" not in " ".join(loaded.notes)


def test_a_size_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("KMIXER_CACHE_SIZE", "much")
    with pytest.raises(SettingsError, match="KMIXER_CACHE_SIZE: received 'much', expected bytes"):
        find_cache_folder()


def test_half_written_files_of_killed_processes_are_removed(folder, cache_folder):
    cache_folder.mkdir()
    old, new = cache_folder / ".a.1.tmp.kmixer", cache_folder / ".b.2.tmp.kmixer"
    for path in (old, new):
        path.write_text("half")
    os.utime(old, (0, 0))
    load(str(folder))
    assert not old.exists() and new.exists()


LOAD = """
import sys
from kmixer.data import load
from kmixer.data.sources.image_folder import reading
reading.SLOW_SECONDS = -1.0
print(load(sys.argv[1], in_memory=sys.argv[2] == "True").fingerprint())
"""


def test_two_processes_that_write_at_once_leave_a_whole_entry(folder, cache_folder, read_files):
    command = [sys.executable, "-c", LOAD, str(folder)]
    processes = [
        subprocess.Popen([*command, str(in_memory)], stdout=subprocess.PIPE, text=True)
        for in_memory in (True, False)
    ]
    printed = {process.communicate(timeout=120)[0].strip() for process in processes}
    assert printed == {load(str(folder), cache=False).fingerprint()}
    read_files["decoded"].clear()
    assert {load(str(folder)).fingerprint()} == printed and not read_files["decoded"]
    assert not list(cache_folder.glob(".*"))


def test_progress_is_told_from_the_first_file_to_the_last(folder):
    calls = []
    load(str(folder), progress=lambda *counts: calls.append(counts))
    shares = [done / total for done, total in calls]
    assert shares == sorted(shares)
    assert shares[0] == 0 and shares[-1] == 1  # before any file is listed, and at the end
    calls.clear()
    load(str(folder), progress=lambda *counts: calls.append(counts))  # from the cache
    assert calls[0][0] == 0 and calls[-1][0] == calls[-1][1]


def test_what_is_large(monkeypatch):
    monkeypatch.setattr(memory, "_limits", lambda: iter([16 * 10**9]))
    assert not is_large(10**9) and is_large(10**9 + 1)
    monkeypatch.setattr(memory, "_limits", lambda: iter([16 * 10**9, 2 * 10**9]))  # a container's
    assert not is_large(5 * 10**8) and is_large(5 * 10**8 + 1)


def test_the_limit_of_a_container_is_read(monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text("max\n")
    monkeypatch.setattr(memory, "GROUPS", tmp_path)
    unlimited = min(memory._limits())
    (tmp_path / "memory.max").write_text("123456\n")
    assert min(memory._limits()) == 123456 < unlimited


def test_the_commands_list_and_clear(folder, cache_folder, run_command):
    listed = run_command("data", "cache", "list")
    assert listed.returncode == 0 and str(cache_folder) in listed.stdout
    load(str(folder))
    listed = run_command("data", "cache", "list", env={"COLUMNS": "400"})
    assert "40 images, 8×8×3" in listed.stdout and str(folder) in listed.stdout
    shown = json.loads(run_command("data", "cache", "list", "--json").stdout)
    assert {entry["folder"] for entry in shown["entries"]} == {str(folder)}
    assert shown["bytes"] == sum(path.stat().st_size for path in cache_folder.iterdir())
    others = cache_folder / "notes.txt"
    others.write_text("not ours")
    (cache_folder / "damaged.kmixer").write_text("x")
    assert "damaged" in run_command("data", "cache", "list").stdout
    cleared = json.loads(run_command("data", "cache", "clear", "--json").stdout)
    assert cleared["removed"] == len(shown["entries"]) + 1
    assert list(cache_folder.iterdir()) == [others]


def test_an_entry_says_when_it_was_used(folder, cache_folder):
    load(str(folder))
    before = {entry.path: entry.used for entry in CacheFolder(cache_folder).entries()}
    for path in before:
        os.utime(path, (1, 1))
    load(str(folder))
    assert all(entry.used > time.time() - 60 for entry in CacheFolder(cache_folder).entries())
