"""Images in a file give what images in memory give, bit for bit."""

import os

import keras
import numpy as np
import pytest

from kmixer.augment import AugmentationPipeline, RandomHorizontalFlip, RandomResizedCrop
from kmixer.data import Split
from kmixer.data.batches import (
    EvaluationPlan,
    ImageBatches,
    TrainingPlan,
    as_arrays,
    evaluation_batches,
    threads,
    training_batches,
)
from kmixer.data.dataset import Dataset
from kmixer.data.duplicates import find_duplicates
from kmixer.data.stored_images import PixelFile, StoredImages, blocks, join, take
from kmixer.errors import DataError
from kmixer.runs.inference import predict_probabilities
from kmixer.training.resolve import measure_statistics

COUNT, SHAPE = 300, (6, 5, 3)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (COUNT, *SHAPE), dtype=np.uint8)


@pytest.fixture
def path(images, tmp_path):
    path = tmp_path / "pixels"
    path.write_bytes(images.tobytes())
    return path


@pytest.fixture
def stored(path):
    file = PixelFile(os.open(path, os.O_RDONLY), str(path))
    return StoredImages(file, SHAPE, np.arange(COUNT))


def splits(images, stored):
    labels = (np.arange(COUNT) % 3).astype(np.int32)
    return Split(images, labels), Split(stored, labels)


@pytest.mark.parametrize(
    "key",
    [
        7, -1, np.int64(3), slice(None), slice(3, 9), slice(0, 0), slice(None, None, -7), [5, 1, 1],
        np.array([250, 3, 4, 5, 90]), np.arange(COUNT) % 7 == 0, np.zeros(0, int),
        (slice(2, 8), slice(None), slice(None, None, -1)), (4, 1, 2, 0), ..., None,
    ],
)  # fmt: skip
def test_an_index_gives_what_it_gives_of_an_array(images, stored, key):
    assert np.array_equal(stored[key], images[key])
    assert stored[key].shape == images[key].shape and stored[key].dtype == images.dtype


def test_it_looks_like_an_array(images, stored):
    assert (stored.shape, stored.nbytes, len(stored)) == (images.shape, images.nbytes, COUNT)
    assert stored.dtype == images.dtype and stored.ndim == images.ndim
    assert np.array_equal(np.asarray(stored), images)
    assert np.asarray(stored, np.float32).dtype == np.float32
    assert all(np.array_equal(a, b) for a, b in zip(stored, images, strict=True))


def test_what_is_taken_of_what_was_taken_stays_in_the_file(images, stored):
    indices, again = np.arange(COUNT)[::-2], np.array([3, 0, 20])
    taken = take(take(stored, indices), again)
    assert isinstance(taken, StoredImages)
    assert np.array_equal(taken, images[indices][again])
    joined = join([taken, take(stored, slice(4))])
    assert isinstance(joined, StoredImages)
    assert np.array_equal(joined, np.concatenate([images[indices][again], images[:4]]))
    assert isinstance(join([taken, images]), np.ndarray)


def test_blocks_hold_every_image_once(images, stored):
    for source in (images, stored):
        parts = list(blocks(source, 70))
        assert [len(part) for part in parts] == [70, 70, 70, 70, 20]
        assert np.array_equal(np.concatenate(parts), images)


def test_a_file_that_became_shorter_is_an_error_not_black(stored, path):
    os.truncate(path, 1000)
    with pytest.raises(DataError, match="cut short while it was in use"):
        stored[290]


def test_a_system_without_preadv_reads_the_same(images, stored, monkeypatch):
    monkeypatch.delattr(os, "preadv")
    assert np.array_equal(stored[[200, 1, 2, 3]], images[[200, 1, 2, 3]])


@pytest.mark.backends
@pytest.mark.parametrize("augmented", [False, True])
def test_training_batches_are_the_same(images, stored, augmented):
    layers = [RandomResizedCrop((0.3, 1.0)), RandomHorizontalFlip(0.5)] if augmented else []
    made = [
        as_arrays(
            training_batches(TrainingPlan(split, 3, 32, 5, 9, AugmentationPipeline(layers))), 20
        )
        for split in splits(images, stored)
    ]
    for (x, y), (same_x, same_y) in zip(*made, strict=True):
        assert x.dtype == same_x.dtype and np.array_equal(x, same_x) and np.array_equal(y, same_y)


def test_threads_make_the_same_training_batches(images, stored):
    made = []
    for split in splits(images, stored):
        stream = threads.training_batches(TrainingPlan(split, 3, 32, 5, 9))
        made.append(as_arrays(stream, 12))
        stream.close()
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(*made, strict=True))


@pytest.mark.backends
@pytest.mark.parametrize("devices", [1, 7])
def test_evaluation_batches_are_the_same(images, stored, devices):
    made = [
        as_arrays(evaluation_batches(EvaluationPlan(split, 3, devices=devices)), None)
        for split in splits(images, stored)
    ]
    for (x, y), (same_x, same_y) in zip(*made, strict=True):
        assert np.array_equal(x, same_x) and np.array_equal(y, same_y)


@pytest.mark.backends
@pytest.mark.parametrize("mirrored", [False, True])
def test_predictions_are_the_same(images, stored, mirrored):
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input(SHAPE), *layers])
    in_memory, from_file = (
        predict_probabilities(model, source, mirrored=mirrored) for source in (images, stored)
    )
    assert np.array_equal(in_memory, from_file)


def test_image_batches_are_as_many_as_it_takes(images, stored):
    batches = ImageBatches(stored, 128)
    assert [len(batches[index][0]) for index in range(len(batches))] == [128, 128, 44]


def test_a_data_set_is_the_same(images, stored):
    names = ("a", "b", "c")
    whole = [Dataset("x", "x", names, split, split) for split in splits(images, stored)]
    for change in (
        lambda data: data,
        lambda data: data.with_validation(30, 1),
        lambda data: data.with_validation(0.2).with_validation_in_train(),
        lambda data: data.with_classes(["c", "a"]).with_validation().with_train_per_class(20, 4),
    ):
        in_memory, from_file = map(change, whole)
        assert in_memory.fingerprint() == from_file.fingerprint()
        assert in_memory.describe() == from_file.describe()
        assert isinstance(from_file.train.images, StoredImages)


def test_statistics_and_duplicates_are_the_same(images, path, stored):
    assert measure_statistics(stored) == measure_statistics(images)
    copies = np.array([5, 9])
    in_memory = find_duplicates(images, images[copies]).counts()
    assert in_memory == find_duplicates(stored, take(stored, copies)).counts()
    assert in_memory["exact_across"] == 2
