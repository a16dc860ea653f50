"""What is wrong with images is told by name."""

import csv
import io

import numpy as np
import pytest

from kmixer.config import DataSettings
from kmixer.data.copies import without_copies
from kmixer.data.dataset import Dataset, SkippedFile, Split, as_gray
from kmixer.data.digests import image_digests, split_digests
from kmixer.data.quality import find_problems
from kmixer.errors import SettingsError

DATA = DataSettings()
ON_VALIDATION = DataSettings(train_on_validation=True)


def split(images, labels, names):
    return Split(np.asarray(images), np.asarray(labels, np.int32), np.asarray(names))


@pytest.fixture
def pictures():
    """Ten color pictures of 8×8 that have nothing in common."""
    return np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3), dtype=np.uint8)


def dataset(train, validation, test):
    return Dataset("d", "d", ("a", "b"), train=train, validation=validation, test=test)


def problems(data, settings=DATA):
    found = find_problems(data, split_digests(data), settings)
    rows = list(csv.reader(io.StringIO(found.as_csv())))
    assert rows[0] == ["file", "class", "problem", "detail"]
    return rows[1:], found.notes


def test_copies_of_held_out_images_are_named_and_can_be_left_out(pictures):
    near = pictures[8].copy()
    near[0, 0] ^= 1
    data = dataset(
        split([pictures[0], pictures[7], near, pictures[1]], [0, 0, 1, 1], ["0", "7", "8~", "1"]),
        split([pictures[7], pictures[2]], [0, 1], ["v7", "v2"]),
        split([pictures[8], pictures[3]], [1, 0], ["t8", "t3"]),
    )
    rows, notes = problems(data)
    assert rows == [
        ["7", "a", "exact copy", "exact copy: v7 (validation)"],
        ["8~", "b", "near copy", "nearly the same: t8 (test)"],
    ]
    assert (
        "2 training images are in the validation or test set as well (1 exactly, 1 nearly)"
        in (notes[0])
    )
    assert "data.drop_duplicates=true" in notes[0]
    left = without_copies(data, ("validation", "test"))
    assert left.train.files.tolist() == ["0", "1"] and len(left.test) == len(left.validation) == 2
    assert "2 training images left out" in left.notes[-1]
    assert [file.path for file in left.skipped] == ["7", "8~"]
    assert problems(left)[1] == ()


def test_validation_images_that_are_trained_on_are_no_copies(pictures):
    train = split(pictures[:4], [0, 1, 0, 1], list("0123"))
    data = dataset(train, train.take(np.array([0, 1])), split(pictures[4:6], [0, 1], ["4", "5"]))
    assert problems(data, ON_VALIDATION) == ([], ())


def test_a_class_that_is_nothing_but_copies_is_not_left_out(pictures):
    data = dataset(
        split(pictures[:3], [0, 1, 1], list("012")),
        split(pictures[:1], [0], ["0"]),
        split(pictures[5:6], [1], ["5"]),
    )
    with pytest.raises(SettingsError, match="leaves no training image of 'a'"):
        without_copies(data, ("validation", "test"))


def test_images_without_contrast_are_counted_by_class(pictures):
    flat = np.zeros((2, 8, 8, 3), np.uint8)
    flat[0] = (200, 9, 7)  # one color, though its channels differ
    flat[1, 4, 4] = 3
    striped = np.zeros((1, 8, 8, 3), np.uint8)
    striped[:, ::2, :, 1] = 4  # as much as counts
    data = dataset(
        split(np.concatenate([flat, striped, pictures[:2]]), [0, 0, 0, 1, 1], list("abcde")),
        split(pictures[2:4], [0, 1], ["f", "g"]),
        split(pictures[4:6], [0, 1], ["h", "i"]),
    )
    rows, notes = problems(data)
    assert [row[:3] for row in rows] == [["a", "a", "no contrast"], ["b", "a", "no contrast"]]
    assert notes == ("2 of 5 images of 'a' have no contrast (all one color)",)


def test_an_image_in_two_classes_is_named_with_the_other(pictures):
    data = dataset(
        split(pictures[[0, 0, 1, 1]], [0, 1, 1, 1], ["a/0", "b/0", "b/1", "b/1 copy"]),
        split(pictures[2:4], [0, 1], ["v", "w"]),
        split(pictures[4:6], [0, 1], ["t", "u"]),
    )
    rows, notes = problems(data)
    assert rows == [
        ["a/0", "a", "in two classes", "the same image as b/0 (b)"],
        ["b/0", "b", "in two classes", "the same image as a/0 (a)"],
    ]
    assert notes == ("2 images stand in more than one class, pixel by pixel the same",)


def test_files_that_were_not_read_are_rows_too_and_named_sets_are_taken_as_they_are(pictures):
    from dataclasses import replace

    plain = Split(pictures[:4], np.array([0, 1, 0, 1], np.int32))
    data = dataset(plain, plain, plain)
    assert problems(data) == ([], ())
    skipped = replace(data, skipped=(SkippedFile("a/broken.png", "unreadable or damaged"),))
    assert problems(skipped)[0] == [["a/broken.png", "", "not read", "unreadable or damaged"]]


def test_digests_are_of_the_pixels_alone(pictures):
    digests = image_digests(pictures)
    assert digests.dtype == np.uint64 and len(set(digests.tolist())) == 10
    assert image_digests(pictures[::-1])[::-1].tolist() == digests.tolist()


def test_gray_is_what_pillow_makes_of_color(pictures):
    from PIL import Image

    expected = [np.asarray(Image.fromarray(picture).convert("L")) for picture in pictures]
    assert np.array_equal(as_gray(pictures)[..., 0], expected)


def test_named_sets_change_their_channels_and_say_so(pictures):
    plain = Split(pictures, np.zeros(10, np.int32))
    data = Dataset("d", "d", ("a", "b"), train=plain, test=plain)
    gray = data.with_channels(1)
    assert gray.image_shape == (8, 8, 1) and gray.notes == ("RGB images are taken as gray",)
    color = gray.with_channels(3)
    assert color.image_shape == (8, 8, 3) and np.ptp(color.test.images, axis=3).max() == 0
    assert data.with_channels(3) is data


def test_many_classes_without_contrast_are_a_few_lines(pictures):
    from dataclasses import replace

    names = tuple("abcdefgh")
    flat = split(np.zeros((9, 8, 8, 3), np.uint8), [0, 0, 1, 2, 3, 4, 5, 6, 7], list("123456789"))
    rest = split(pictures[:8], range(8), list("ABCDEFGH"))
    data = replace(dataset(flat, rest, rest), class_names=names)
    notes = find_problems(data, split_digests(data), DATA).notes
    assert notes[0] == "2 of 4 images of 'a' have no contrast (all one color)"
    assert notes[5] == "3 more of 3 other classes have none"
