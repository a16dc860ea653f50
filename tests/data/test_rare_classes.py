"""Classes with very few images are learned, and draws are made from the others."""

import numpy as np
import pytest

from folders import write_classes
from kmixer.data import load
from kmixer.data.stratified import Draw, stratified
from kmixer.errors import DataError, SettingsError


def split_of(folder, size=None):
    return load(str(folder), cache=False).with_validation(size)


def labels_of(dataset, name):
    label = dataset.class_names.index(name)
    return {split: int((part.labels == label).sum()) for split, part in dataset.splits.items()}


def test_a_class_with_one_image_is_trained_on_and_named(tmp_path):
    write_classes(tmp_path, "ant", "bee", count=30)
    write_classes(tmp_path, "zebra", count=1)
    dataset = split_of(tmp_path)
    assert labels_of(dataset, "zebra") == {"train": 1, "validation": 0, "test": 0}
    assert len(dataset.test) == 9 and len(dataset.validation) == 4
    assert "no images in the test set of: 'zebra'" in dataset.notes
    assert "no images in the validation set of: 'zebra'" in dataset.notes


@pytest.mark.parametrize("count", [2, 3])
def test_a_class_with_few_images_keeps_one_for_training(tmp_path, count):
    write_classes(tmp_path, "ant", "bee", count=30)
    write_classes(tmp_path, "zebra", count=count)
    found = labels_of(split_of(tmp_path), "zebra")
    assert found["train"] >= 1 and sum(found.values()) == count


def test_many_classes_with_few_images_each():
    counts = np.arange(500) % 4 + 1  # 1, 2, 3, 4, 1, …
    labels = np.repeat(np.arange(500), counts).astype(np.int32)
    names = [f"c{number}" for number in range(500)]
    rest, drawn = stratified(labels, Draw(round(0.15 * len(labels)), raised=True), 0, names, "test")
    assert sorted([*rest, *drawn]) == list(range(len(labels)))
    taken = np.bincount(labels[drawn], minlength=500)
    assert (taken[counts == 1] == 0).all() and (taken[counts == 4] >= 1).all()
    assert set(labels[rest]) == set(range(500))


def test_names_of_many_absent_classes_are_cut(tmp_path):
    write_classes(tmp_path, "ant", "bee", count=30)
    write_classes(tmp_path, *(f"rare{number}" for number in range(8)), count=1)
    notes = split_of(tmp_path).notes
    assert (
        "no images in the test set of: 'rare0', 'rare1', 'rare2', 'rare3', 'rare4' and 3 more"
        in notes
    )


def test_classes_of_one_image_only_are_refused(tmp_path):
    write_classes(tmp_path, "a", "b", count=1)
    with pytest.raises(
        DataError, match="each class has one image, such as 'a'; expected at least 2"
    ):
        load(str(tmp_path), cache=False)


@pytest.mark.parametrize(("size", "received"), [(1, "1"), (60, "60"), (0.99, "50")])
def test_a_validation_size_that_cannot_be_names_its_bounds(tmp_path, size, received):
    write_classes(tmp_path, "a", "b", count=30)  # 51 to train on
    expected = rf"received {received} images to draw, expected 2 to 49.*smallest, '[ab]', has 2[56]"
    with pytest.raises(SettingsError, match=rf"data\.validation_size: {expected}"):
        split_of(tmp_path, size)
