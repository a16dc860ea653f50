"""`kmixer data info` says how it read a folder, before anyone trains on it."""

import json

from folders import write_classes, write_files, write_image


def strangers_folder(root):
    write_classes(root / "seg_train" / "seg_train", "cat", "[bold]dog", "a name " * 12, count=4)
    write_classes(root / "seg_test" / "seg_test", "cat", "[bold]dog", count=2)
    write_image(root / "seg_pred" / "0.png")
    write_files(root, "notes.txt", "labels/0.xml")
    return root


def test_a_tree_of_splits_classes_and_what_was_left_out(run_command, tmp_path):
    folder = strangers_folder(tmp_path / "photos")
    done = run_command("data", "info", folder, "--no-duplicates", env={"COLUMNS": "80"})
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and max(map(len, lines)) <= 80 + len(str(folder))
    for text in (
        "3 classes", "train: seg_train/seg_train/, 12 images", "test: seg_test/seg_test/, 4 images",
        "4  cat", "2  [bold]dog", "(no images in it): labels/ (.xml)", "1 image without class folders",
        "no image suffix (.txt)",
    ):  # fmt: skip
        assert any(text in line for line in lines), text


def test_the_same_as_json(run_command, tmp_path):
    done = run_command("data", "info", strangers_folder(tmp_path / "photos"), "--json")
    facts = json.loads(done.stdout)
    assert facts["layout"] == {"train": "seg_train/seg_train/", "test": "seg_test/seg_test/"}
    skipped = {file["path"]: file["reason"] for file in facts["skipped"]}
    assert skipped.keys() == {"seg_pred/", "labels/", "notes.txt"}
    assert skipped["notes.txt"] == "no image suffix (.txt)"
    assert facts["counts"]["test"]["cat"] == 2


def test_hundreds_of_classes_are_counted(run_command, tmp_path):
    write_classes(tmp_path, *(f"c{number:03}" for number in range(60)), count=2)
    done = run_command("data", "info", tmp_path, "--no-duplicates")
    assert "60 classes" in done.stdout and "and 10 more classes" in done.stdout
