"""What in a folder is not read: tool debris, kmixer's own output, links, names that cannot be shown."""

import os
import unicodedata

import pytest

from folders import raw, write_classes, write_files, write_image
from kmixer.data import load
from kmixer.data.sources.image_folder.names import printable
from kmixer.errors import DataError

ONLY_POSIX = pytest.mark.skipif(os.name != "posix", reason="names and links of POSIX")


def read(folder):
    return load(str(folder), cache=False)


def size(dataset):
    return sum(map(len, dataset.splits.values()))


def reasons(dataset):
    return {file.path: file.reason for file in dataset.skipped}


@pytest.mark.parametrize("inside", [".", "a", "a/deep/er"])
def test_what_systems_and_tools_leave_is_left_out(tmp_path, inside):
    write_classes(tmp_path, "a", "b")
    folders = ("__MACOSX", "@eaDir", ".ipynb_checkpoints", "#recycle", "$RECYCLE.BIN", "lost+found",
               "__pycache__", ".thumbnails")  # fmt: skip
    for name in folders:
        write_image(tmp_path / inside / name / "0.png")
    files = ("Thumbs.db", "desktop.ini", ".DS_Store", "._0.png", ".hidden.png")
    write_files(tmp_path / inside, *files)
    dataset = read(tmp_path)
    assert size(dataset) == 16 and dataset.class_names == ("a", "b")
    assert set(reasons(dataset).values()) == {"hidden, or left by a system or a tool"}
    assert len(dataset.skipped) == len(folders) + len(files)
    (note,) = [note for note in dataset.notes if "skipped" in note]
    assert note.startswith("13 files and folders skipped (hidden") and note.endswith("and 10 more")


def _write_run(folder):
    write_files(folder, "labels.txt")
    write_files(folder, "config.yaml", text="model:\n  name: mixer\nrun:\n  format: 2\n")
    write_image(folder / "curves.png")
    write_image(folder / "evaluation" / "d-test" / "mistakes.png")


def test_what_kmixer_wrote_is_left_out(tmp_path):
    write_classes(tmp_path, "a", "b")
    write_image(tmp_path / "saved_models" / "notes" / "0.png")
    _write_run(tmp_path / "runs" / "d-1")
    _write_run(tmp_path / "runs" / "d-2")
    _write_run(tmp_path / "a" / "run")
    write_files(tmp_path / "exported", "labels.txt", "manifest.json")
    write_image(tmp_path / "exported" / "0.png")
    dataset = read(tmp_path)
    assert size(dataset) == 16 and dataset.class_names == ("a", "b")
    own = ("exported/", "runs/", "saved_models/", "a/run/")
    assert reasons(dataset) == dict.fromkeys(own, "kmixer's own output")


def test_a_data_set_with_files_named_like_a_runs_is_read(tmp_path):
    write_classes(tmp_path / "data", "a", "b")
    write_files(tmp_path / "data", "labels.txt", "config.yaml")
    assert read(tmp_path).class_names == ("a", "b")


def test_a_trained_run_is_left_out(trained_run, tmp_path):
    import shutil

    write_classes(tmp_path, "a", "b")
    shutil.copytree(trained_run.folder, tmp_path / "my run")
    assert read(tmp_path).class_names == ("a", "b")


@ONLY_POSIX
def test_links_are_followed(tmp_path):
    pool = write_classes(tmp_path / "pool", "x", "y", count=10)
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "x").symlink_to(pool / "x")
    (folder / "y").mkdir()
    for path in (pool / "y").iterdir():
        (folder / "y" / path.name).symlink_to(path)
    dataset = read(folder)
    assert dataset.class_names == ("x", "y") and size(dataset) == 20 and not dataset.skipped
    (tmp_path / "link").symlink_to(folder)
    assert size(read(tmp_path / "link")) == 20


@ONLY_POSIX
def test_no_folder_is_read_twice_or_for_ever(tmp_path):
    write_classes(tmp_path, "a", "b")
    elsewhere = write_classes(tmp_path.parent / f"{tmp_path.name}-elsewhere", "deep")
    (elsewhere / "deep" / "loop").symlink_to(elsewhere)
    links = {"a/up": "..", "a/self": ".", "a/root": "/", "a/other": "../b", "c": "a",
             "b/one": elsewhere, "b/two": elsewhere}  # fmt: skip
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    broken = {"a/broken.png": "nowhere.png", "a/circle": "circle", "circle": "circle"}
    for name, target in broken.items():
        (tmp_path / name).symlink_to(target)
    dataset = read(tmp_path)
    assert dataset.class_names == ("a", "b") and size(dataset) == 24
    back = "link to a folder that is read elsewhere, or that holds this one"
    folders = ("a/up/", "a/self/", "a/root/", "a/other/", "c/", "b/two/", "b/one/deep/loop/")
    assert reasons(dataset) == dict.fromkeys(folders, back) | dict.fromkeys(broken, "broken link")


def test_folders_in_each_other_without_end_are_refused_at_once(tmp_path):
    deep = tmp_path.joinpath(*("d" * 300))
    deep.mkdir(parents=True)
    with pytest.raises(DataError, match="more than 100 folders in each other"):
        load(str(tmp_path))


@ONLY_POSIX
def test_a_test_folder_that_is_a_link_to_training_is_no_test_set(tmp_path):
    write_classes(tmp_path / "train", "a", "b", count=10)
    (tmp_path / "test").symlink_to("train")
    dataset = read(tmp_path)
    assert (len(dataset.train), len(dataset.test)) == (17, 3)
    assert dataset.layout["test"] == "drawn from train/"


@ONLY_POSIX
def test_a_pipe_is_no_image(tmp_path):
    write_classes(tmp_path, "a", "b")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    assert reasons(read(tmp_path)) == {"a/pipe.png": "neither file nor folder"}


def test_names_that_look_the_same_are_one_class(tmp_path):
    composed = "caf\u00e9"
    write_classes(tmp_path / "train", composed, "b")
    write_classes(tmp_path / "test", unicodedata.normalize("NFD", composed), "b", count=2)
    dataset = read(tmp_path)
    assert dataset.class_names == ("b", composed) and len(dataset.test) == 4
    assert dataset.test.files[-1] == f"test/{composed}/1.png"


@ONLY_POSIX
def test_two_folders_whose_names_look_the_same_are_one_class(tmp_path):
    write_classes(tmp_path, "caf\u00e9", "cafe\u0301", "b", count=5)
    dataset = read(tmp_path)
    assert dataset.class_names == ("b", "caf\u00e9") and size(dataset) == 15
    assert "2 folders whose names look the same are one class" in " ".join(dataset.notes)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain", "plain"), ("Größe 2", "Größe 2"), ("猫", "猫"), ("👩\u200d🚀", "👩\u200d🚀"),
        ("a\nb", "a\\nb"), ("a\u2028b", "a\\u2028b"), ("a\x85b", "a\\x85b"), ("a\tb", "a\\tb"),
        ("a\u202eb", "a\\u202eb"), ("a\x1bb", "a\\x1bb"), ("caf\udce9", "caf\\xe9"), ("a\\nb", "a\\nb"),
    ],
)  # fmt: skip
def test_names_as_text_of_one_line(name, text):
    assert printable(name) == text
    assert printable(name).splitlines() == [text]
    text.encode()


@ONLY_POSIX
def test_classes_whose_names_cannot_be_shown(tmp_path):
    write_classes(tmp_path, "a\nb", "c\u202ed", count=5)
    for number in range(5):
        os.renames(write_image(tmp_path / "x.png"), raw(tmp_path, b"caf\xe9/%d\xff.png" % number))
    write_files(raw(tmp_path, b"caf\xe9"), "notes\n.txt")
    dataset = read(tmp_path)
    assert dataset.class_names == ("a\\nb", "c\\u202ed", "caf\\xe9")
    assert size(dataset) == 15
    for text in (*dataset.notes, *dataset.train.files, *reasons(dataset)):
        assert len(text.splitlines()) == 1 and text.encode()


@ONLY_POSIX
def test_names_that_are_shown_alike_are_refused(tmp_path):
    write_classes(tmp_path, "a\nb", "a\\nb")
    with pytest.raises(DataError, match="names are both shown as"):
        read(tmp_path)


def test_every_skipped_file_is_named_and_notes_stay_short(tmp_path):
    write_classes(tmp_path, "a", "b")
    write_files(tmp_path / "a", *(f"{number}.json" for number in range(50)), "bad.png")
    dataset = read(tmp_path)
    assert len(dataset.skipped) == 51 and size(dataset) == 16
    assert (
        "50 files skipped (no image suffix (.json)): a/0.json, a/1.json, a/10.json and 47 more"
        in (dataset.notes)
    )
    assert reasons(dataset)["a/bad.png"].startswith("unreadable or damaged: ")
    assert dataset.describe()["skipped"][0] == {
        "path": "a/0.json", "reason": "no image suffix (.json)",
    }  # fmt: skip


def test_a_path_of_thousands_of_characters_is_left_out(tmp_path):
    write_classes(tmp_path, "a", "b")
    deep = tmp_path / "a" / "/".join(["d" * 200] * 6)
    deep.mkdir(parents=True)
    write_files(deep, "x.png", "notes.txt")
    dataset = read(tmp_path)
    assert size(dataset) == 16 and dataset.train.files.itemsize < 4 * 1000
    assert set(reasons(dataset).values()) == {"a path of more than 1,000 characters"}
