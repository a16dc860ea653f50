"""An export that is not what its manifest says is refused; what is served is what was checked."""

import json
import os
from hashlib import sha256

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("a server has no Keras backend", allow_module_level=True)

from kept_export import copy_export
from kmixer.errors import RunError
from kmixer.exporting import contents
from kmixer.exporting.artifact import load_artifact

IMAGES = np.arange(3 * 64, dtype=np.uint8).reshape(3, 8, 8, 1)


@pytest.fixture
def folder(tmp_path):
    return copy_export(tmp_path / "export")


def change(folder, edit):
    manifest = json.loads((folder / "manifest.json").read_text())
    edit(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def listed(folder, name, content):
    """Write a file and list it, its checksum right."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    entry = {"bytes": len(content), "sha256": sha256(content).hexdigest()}
    change(folder, lambda m: m["files"].update({name: entry}))


def link(folder, name, target=None):
    target = target or folder.with_name("elsewhere")
    os.replace(folder / name, target)
    (folder / name).symlink_to(target)


def more_classes(manifest):
    manifest["class_names"].append("beside")
    manifest["output"]["shape"][1] = 3


def other_shape(manifest):
    manifest["input"]["trained_on"] = [8, 9, 1]
    manifest["input"]["shape"] = [None, 8, 9, 1]


def set_files(**entries):
    return lambda folder: change(folder, lambda m: m["files"].update(entries))


ENTRY = {"bytes": 1, "sha256": "0" * 64}
ATTACKS = {
    "no checksum of the model": (lambda f: change(f, lambda m: m["files"].pop("model.tflite")), "no checksum for model.tflite"),
    "no checksum of the labels": (lambda f: change(f, lambda m: m["files"].pop("labels.txt")), "no checksum for labels.txt"),
    "no checksums": (lambda f: change(f, lambda m: m["files"].clear()), "no checksum"),
    "other names than the labels": (lambda f: change(f, lambda m: m["class_names"].reverse()), "its class names are not the manifest's"),
    "other labels": (lambda f: listed(f, "labels.txt", b"below\nabove\n"), "its class names are not the manifest's"),
    "labels that are no text": (lambda f: listed(f, "labels.txt", b"\xff\xfe"), "is not UTF-8"),
    "more classes than the model": (lambda f: (change(f, more_classes), listed(f, "labels.txt", b"above\nbelow\nbeside\n")), "cannot be opened"),
    "another shape": (lambda f: change(f, other_shape), "cannot be opened"),
    "two shapes": (lambda f: change(f, lambda m: m["input"].update(trained_on=[9, 9, 1])), "input: received shape"),
    "an image of terabytes": (lambda f: change(f, lambda m: m["input"].update(trained_on=[10**6, 10**6, 3], shape=[None, None, None, 3])), "at most"),
    "numbers as text": (lambda f: change(f, lambda m: m["input"].update(trained_on=["8", "8", "1"])), "damaged: input"),
    "a path outside": (set_files(**{"../x": ENTRY}), "lies outside"),
    "a path outside, further in": (set_files(**{"a/../../x": ENTRY}), "lies outside"),
    "an absolute path": (set_files(**{"/etc/hostname": ENTRY}), "lies outside"),
    "a path of Windows": (set_files(**{"..\\x": ENTRY}), "lies outside"),
    "a drive of Windows": (set_files(**{"C:x": ENTRY}), "lies outside"),
    "a path with a line feed": (set_files(**{"a\nb": ENTRY}), "lies outside"),
    "another file": (lambda f: (listed(f, "other.tflite", b"x"), change(f, lambda m: m.update(file="other.tflite"))), "file: received 'other.tflite'"),
    "a file that is not listed": (lambda f: (f / "model.bin").write_bytes(b"x"), "'model.bin' is not listed"),
    "one further in": (lambda f: ((f / "variables").mkdir(), (f / "variables" / "x.txt").write_bytes(b"x")), "'variables/x.txt' is not listed"),
    "a link that is not listed": (lambda f: (f / "a.txt").symlink_to("/etc/hostname"), "'a.txt' is not listed"),
    "a link for the model": (lambda f: link(f, "model.tflite"), "a link, expected the file itself"),
    "a link inside": (lambda f: link(f, "model.tflite", f / ".hidden"), "a link, expected the file itself"),
    "a link for the labels": (lambda f: link(f, "labels.txt"), "a link, expected the file itself"),
    "a pipe for the model": (lambda f: ((f / "model.tflite").unlink(), os.mkfifo(f / "model.tflite")), "no plain file"),
    "a pipe for the manifest": (lambda f: ((f / "manifest.json").unlink(), os.mkfifo(f / "manifest.json")), "no plain file"),
    "a folder for the model": (lambda f: ((f / "model.tflite").unlink(), (f / "model.tflite").mkdir()), "model.tflite: cannot be read"),
    "files of gigabytes": (set_files(x=ENTRY | {"bytes": 2**40}), "larger than"),
    "a negative length": (set_files(x=ENTRY | {"bytes": -1}), "damaged: files"),
    "a model with one bit less": (lambda f: (f / "model.tflite").write_bytes(b"\0" + (f / "model.tflite").read_bytes()[1:]), "SHA-256 is not the manifest's"),
    "NaN": (lambda f: change(f, lambda m: m["proof"].update(x=float("nan"))), "NaN is no JSON"),
    "a number too large": (lambda f: (f / "manifest.json").write_text((f / "manifest.json").read_text().replace('"images": 40', '"images": 1e999')), "damaged"),
    "half a character": (lambda f: change(f, lambda m: m["class_names"].__setitem__(0, "\ud800")), "half a character"),
    "a key twice": (lambda f: (f / "manifest.json").write_text((f / "manifest.json").read_text().replace('"file":', '"format": "onnx", "file":')), "'format' is in it twice"),
    "a deep manifest": (lambda f: (f / "manifest.json").write_text('{"a":' * 100_000), "damaged"),
    "a digit million": (lambda f: change(f, lambda m: m.update(x=0)) or (f / "manifest.json").write_text('{"a": ' + "9" * 10**6 + "}"), "damaged"),
    "rubbish as a model": (lambda f: listed(f, "model.tflite", b"rubbish"), "cannot be opened"),
}  # fmt: skip


@pytest.mark.skipif(os.name != "posix", reason="links and pipes")
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_manifest_that_is_not_held_is_refused(folder, attack):
    make, message = ATTACKS[attack]
    make(folder)
    with pytest.raises(RunError) as caught:
        load_artifact(folder).open()
    assert message in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_what_people_and_systems_leave_in_a_folder_is_no_matter(folder):
    (folder / "notes.txt").write_text("x")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_bytes(b"x")
    load_artifact(folder).open()


def test_a_folder_reached_through_a_link_is_opened(folder):
    link = folder.with_name("link")
    link.symlink_to(folder)
    load_artifact(link).open()


@pytest.mark.parametrize("then", ["cut", "overwritten", "removed"])
def test_the_answers_are_of_the_bytes_that_were_checked(folder, then):
    predict, _ = load_artifact(folder).open()
    expected = predict(IMAGES)
    path = folder / "model.tflite"
    if then == "cut":  # a mapped file that is cut kills its process
        os.truncate(path, 0)
    elif then == "overwritten":
        with path.open("r+b") as file:
            file.write(b"\x55" * path.stat().st_size)
    else:
        path.unlink()
    np.testing.assert_array_equal(predict(IMAGES[:2]), expected[:2])
    np.testing.assert_array_equal(predict(IMAGES), expected)


def test_a_file_that_changes_after_it_was_read_is_not_read_again(folder, monkeypatch):
    """What is opened is what was read: the file is not opened a second time."""
    expected, read = load_artifact(folder).open()[0](IMAGES), contents._read
    name = "model.tflite"

    def read_then_change(where, file, checksum):
        content = read(where, file, checksum)
        if file == name:
            (where / file).write_bytes(b"rubbish")
        return content

    monkeypatch.setattr(contents, "_read", read_then_change)
    predict, _ = load_artifact(folder).open()
    np.testing.assert_array_equal(predict(IMAGES), expected)


def test_all_kinds_are_counted(saw, passed):
    refused = passed(test_a_manifest_that_is_not_held_is_refused)
    passed(test_the_answers_are_of_the_bytes_that_were_checked)
    saw("exports", f"{refused} of {len(ATTACKS)} refused in one line; the model's file cut,"
        " overwritten and removed while it was served: the same answers")  # fmt: skip
