"""What in a stranger's folder is a split, what a class, and what neither."""

import numpy as np
import pytest

from folders import write_classes, write_files, write_image
from kmixer.data import check_name, load
from kmixer.data.sources.image_folder.split_names import role_of
from kmixer.errors import DataError


def read(folder):
    return load(str(folder), cache=False)


def counts(dataset):
    return {name: len(split) for name, split in dataset.splits.items()}


def said(dataset):
    return "\n".join(dataset.notes)


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("train", "train Training TRAIN training_set trainset train-images Train_Data xy-train x_train"
                  " seg_train train2017 TrainingSet train_val ILSVRC2012_img_train 01_train"),
        ("validation", "val Val valid validation Validation_Set valset val_images dev devset val2017"),
        ("test", "test Testing test_set testset TestImages seg_test test1 asl_alphabet_test holdout"),
        ("evaluation", "eval Evaluation eval_set"),
        ("unlabeled", "seg_pred unlabeled test_unlabeled predictions"),
        (None, "cat tested trainer contest latest value invalid train_test evil images car2 ''"),
    ],
)  # fmt: skip
def test_names_of_splits(role, names):
    assert {name: role_of(name) for name in names.split()} == dict.fromkeys(names.split(), role)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Train", "Test"), ("TRAINING", "TESTING"), ("training_set", "test_set"),
        ("seg_train/seg_train", "seg_test/seg_test"), ("a/Training", "a/Testing"),
        ("data/data/train", "data/data/test"), ("train/images", "test/images"), ("xy-train", "xy-test"),
    ],
)  # fmt: skip
def test_splits_under_other_names(tmp_path, train, test):
    write_classes(tmp_path / train, "cat", "dog")
    write_classes(tmp_path / test, "cat", "dog", count=3)
    dataset = read(tmp_path)
    assert dataset.class_names == ("cat", "dog") and counts(dataset) == {"train": 16, "test": 6}
    assert dataset.layout == {"train": f"{train}/", "test": f"{test}/"}
    assert dataset.train.files[0] == f"{train}/cat/0.png"
    assert f"read as train set: {train}/, test set: {test}/" in dataset.notes


@pytest.mark.parametrize("name", ["val", "Valid", "validation_set", "dev", "eval"])
def test_a_validation_folder_is_the_validation_set(tmp_path, name):
    write_classes(tmp_path / "train", "a", "b")
    write_classes(tmp_path / name, "a", "b", count=2)
    write_classes(tmp_path / "test", "a", "b", count=3)
    dataset = read(tmp_path)
    assert counts(dataset) == {"train": 16, "validation": 4, "test": 6}
    assert f"validation set: {name}/" in said(dataset)
    same = dataset.with_validation(None)
    assert counts(same) == counts(dataset) and same.notes == dataset.notes


def test_a_size_is_not_used_where_there_is_a_validation_folder(tmp_path):
    for name in ("train", "val", "test"):
        write_classes(tmp_path / name, "a", "b", count=4)
    dataset = read(tmp_path)
    for size in (3, 0.5):
        kept = dataset.with_validation(size)
        assert len(kept.validation) == 8 and len(kept.train) == 8
        assert f"data.validation_size ({size}) is not used" in kept.notes[-1]
    assert dataset.with_validation(8).notes == dataset.notes


def test_without_a_test_folder_the_test_set_is_drawn_from_training(tmp_path):
    write_classes(tmp_path / "train", "a", "b", count=20)
    write_classes(tmp_path / "val", "a", "b", count=2)
    dataset = read(tmp_path)
    assert counts(dataset) == {"train": 34, "validation": 4, "test": 6}
    assert dataset.layout["test"] == "drawn from train/"
    assert "6 images of train/ drawn as test set (stratified, seed 0)" in said(dataset)


def test_evaluation_beside_a_development_folder_is_the_test_set(tmp_path):
    for name, count in (("train", 8), ("dev", 2), ("eval", 3)):
        write_classes(tmp_path / name, "a", "b", count=count)
    assert counts(read(tmp_path)) == {"train": 16, "validation": 4, "test": 6}


def test_each_class_may_hold_its_own_splits(tmp_path):
    for name in ("cat", "dog"):
        write_classes(tmp_path / name, "test", count=2)
        write_classes(tmp_path / name, "train", count=5)
    dataset = read(tmp_path)
    assert dataset.class_names == ("cat", "dog") and counts(dataset) == {"train": 10, "test": 4}
    assert dataset.layout == {"train": "CLASS/train/", "test": "CLASS/test/"}


def test_vehicles_are_no_splits(tmp_path):
    write_classes(tmp_path, "train", "car", "plane")
    dataset = read(tmp_path)
    assert dataset.class_names == ("car", "plane", "train")
    assert "train/ taken for a class" in said(dataset)


@pytest.mark.parametrize("folder", ["", "train", "data/train"])
def test_folders_that_hold_the_classes_are_told(tmp_path, folder):
    write_classes(tmp_path / folder / "fold1", "cat", "dog")
    write_classes(tmp_path / folder / "fold2", "cat", "dog")
    dataset = read(tmp_path)
    assert dataset.class_names == ("fold1", "fold2")
    assert (
        "each class folder holds 'cat', 'dog' and no image itself; if those are the classes, train"
        f" on one such folder: {tmp_path / folder / 'fold1'}" in said(dataset)
    )


def test_classes_of_classes_are_told(tmp_path):
    write_classes(tmp_path / "animals", "cat", "dog")
    write_classes(tmp_path / "vehicles", "car", "bus")
    write_classes(tmp_path, "plants")
    assert (
        "'animals', 'vehicles' hold no image themselves: those in their folders (bus, car, cat and"
        " 1 more) are read as theirs" in read(tmp_path).notes
    )


def test_a_folder_within_a_class_is_not_worth_a_word(tmp_path):
    write_classes(tmp_path / "cat", "images")
    write_classes(tmp_path / "dog", "images")
    write_classes(tmp_path / "dog" / "images", "more", "others")
    assert "image" not in said(read(tmp_path)).replace("images of ./ drawn", "")


def test_a_training_folder_of_others_classes_is_no_split(tmp_path):
    write_classes(tmp_path / "train", "steam", "diesel")
    write_classes(tmp_path / "test", "bench", "lab")
    write_classes(tmp_path, "car")
    assert read(tmp_path).class_names == ("car", "test", "train")


def test_vehicles_in_splits(tmp_path):
    for split in ("train", "test"):
        write_classes(tmp_path / split, "train", "car")
    dataset = read(tmp_path)
    assert dataset.class_names == ("car", "train") and counts(dataset) == {"train": 16, "test": 16}


def test_the_folder_of_a_split_is_an_ordinary_folder(tmp_path):
    for split in ("train", "test"):
        write_classes(tmp_path / split, "a", "b", count=10)
    assert counts(read(tmp_path / "test")) == {"train": 17, "test": 3}
    assert counts(read(tmp_path / "train")) == {"train": 17, "test": 3}


@pytest.mark.parametrize("wrapping", ["photos", "a/b/c", "train", "images"])
def test_what_zips_wrap_around_is_unwrapped(tmp_path, wrapping):
    write_classes(tmp_path / wrapping, "a", "b")
    write_files(tmp_path, "__MACOSX/photos/a/._0.png", "README.txt")
    dataset = read(tmp_path)
    assert dataset.class_names == ("a", "b") and dataset.layout["train"] == f"{wrapping}/"


@pytest.mark.parametrize("inside", ["", "test/", "images/", "unknown/"])
def test_a_test_folder_without_classes_is_passed_over(tmp_path, inside):
    write_classes(tmp_path / "train", "cat", "dog", count=10)
    for number in range(8):
        write_image(tmp_path / f"test/{inside}{number}.png")
    dataset = read(tmp_path)
    assert counts(dataset) == {"train": 17, "test": 3}
    assert not any(file.startswith("test") for file in dataset.test.files)
    assert "8 images without class folders; classify them with: kmixer predict RUN" in said(dataset)
    assert [file.path for file in dataset.skipped] == ["test/"]


def test_other_folders_beside_splits_are_left_out(tmp_path):
    for folder in ("train", "test", "chest_xray/train", "test_hard"):
        write_classes(tmp_path / folder, "a", "b", count=4)
    write_image(tmp_path / "samples" / "0.png")
    write_image(tmp_path / "stray.png")
    dataset = read(tmp_path)
    assert counts(dataset) == {"train": 8, "test": 8}
    assert {file.path: file.reason for file in dataset.skipped} == {
        "chest_xray/": "neither training, validation nor test folder",
        "samples/": "neither training, validation nor test folder",
        "test_hard/": "a second test folder",
        "stray.png": "image outside the class folders",
    }


def test_a_class_may_lack_images_to_be_measured_on(tmp_path):
    write_classes(tmp_path / "train", "a", "b", "c")
    write_classes(tmp_path / "val", "a", "b")
    write_classes(tmp_path / "test", "a")
    dataset = read(tmp_path)
    assert dataset.class_names == ("a", "b", "c") and len(dataset.test) == 8
    assert "no images in the validation set of: 'c'" in dataset.notes
    assert "no images in the test set of: 'b', 'c'" in dataset.notes


def test_label_files_among_classes_are_left_out(tmp_path):
    write_classes(tmp_path / "images", "a", "b")
    write_files(tmp_path, "annotations/a.xml", "images/a/0.png.json", "images/a/metadata.json")
    dataset = read(tmp_path)
    assert dataset.class_names == ("a", "b") and len(dataset.train) + len(dataset.test) == 16
    assert "1 folder skipped (no images in it): annotations/ (.xml)" in dataset.notes
    assert "2 files skipped (no image suffix (.json))" in said(dataset)


def test_an_empty_class_is_named(tmp_path):
    write_classes(tmp_path, "a", "b")
    (tmp_path / "c").mkdir()
    dataset = read(tmp_path)
    assert dataset.class_names == ("a", "b")
    assert "1 folder skipped (empty): c/" in dataset.notes


def _images(folder, *names):
    for name in names:
        write_image(folder / name)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda root: None, "no class folders with images, it is empty; expected CLASS"),
        (lambda root: (root / "a").mkdir(), "it is empty"),
        (lambda root: write_files(root, "a/1.csv", "b/2.txt"), r"only other files \(.csv, .txt\)"),
        (lambda root: _images(root, "0.png", "1.png"), "2 images, but no class folders.* predict RUN"),
        (lambda root: write_classes(root, "cat"), "one class only, 'cat'"),
        (lambda root: (write_classes(root, "cat"), (root / "dog").mkdir()), r"'cat' \(dog/ without"),
        (lambda root: _images(root, "train/cat.0.png", "test1/0.png"), "test1/, train/: images, but no"),
        (lambda root: _images(root, "train/0.png"), "train/: images, but no class folders"),
        (lambda root: (_images(root, "train/images/0.png", "valid/images/0.png"),
                       write_files(root, "train/labels/0.txt")), "labels/ is of object detection"),
        (lambda root: _images(root, "images/train/0.png", "images/val/0.png"), "no class folders"),
        (lambda root: [write_classes(root / s, "a", "b") for s in ("val", "test")], "no training folder"),
        (lambda root: [write_classes(root / s, "a", "b") for s in ("trainA", "trainB", "test")],
         "trainA/, trainB/: several training folders"),
        (lambda root: (write_classes(root / "train", "a", "b"), write_classes(root / "test", "a", "c")),
         "test: classes without training images: 'c'; train/ has 'a', 'b'"),
        (lambda root: (write_classes(root / "train", "a", "b"), (root / "train" / "c").mkdir(),
                       write_classes(root / "val", "a", "b", "c")), "val: classes without training images: 'c'"),
        (lambda root: (write_classes(root / "train", "Cat", "b"), write_classes(root / "test", "cat", "b")),
         "'cat'; train/ has 'Cat'"),
    ],
)  # fmt: skip
def test_what_nobody_can_learn_from_is_refused(tmp_path, build, message):
    build(tmp_path)
    for refuse in (read, lambda folder: check_name(str(folder))):
        with pytest.raises(DataError, match=message):
            refuse(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [("photos.zip", "an archive; unpack it first"), ("photos.TAR.GZ", "an archive; unpack it first"),
     ("cat.png", "an image, no folder.* predict RUN"), ("labels.csv", "a file, no folder")],
)  # fmt: skip
def test_a_file_is_no_folder(tmp_path, name, message):
    write_files(tmp_path, name)
    for refuse in (read, lambda path: check_name(str(path))):
        with pytest.raises(DataError, match=message):
            refuse(tmp_path / name)


def test_the_test_set_of_a_flat_folder_has_not_changed(tmp_path):
    """It was drawn so before classes of one image were set aside."""
    from sklearn.model_selection import train_test_split

    write_classes(tmp_path, "a", "b", count=20)
    write_classes(tmp_path, "c", count=7)
    labels = np.repeat([0, 1, 2], [20, 20, 7])
    _, drawn = train_test_split(np.arange(47), test_size=7, stratify=labels, random_state=0)
    files = sorted(
        f"{name}/{n}.png"
        for name, count in zip("abc", (20, 20, 7), strict=True)
        for n in range(count)
    )
    assert read(tmp_path).test.files.tolist() == [files[index] for index in np.sort(drawn)]
