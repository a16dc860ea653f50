"""Order and augmentation are pure functions of (seed, epoch, position), under every backend."""

import os
import subprocess
import sys
import threading
from importlib.util import find_spec

import keras
import numpy as np
import pytest

from kmixer.augment import (
    AugmentationPipeline,
    RandAugment,
    RandomErasing,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomTranslation,
)
from kmixer.backend import BACKENDS
from kmixer.data import Split, load
from kmixer.data.batches import (
    EvaluationPlan,
    TrainingPlan,
    as_arrays,
    evaluation_batches,
    even_batch_size,
    threads,
    training_batches,
)
from kmixer.data.order import epoch_plan
from kmixer.models.factory import with_resident_images

# Batches are made by another library under TensorFlow than under the other backends.
each_backend = pytest.mark.backends


@pytest.fixture
def split():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (50, 6, 6, 1), dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(50)
    return Split(images, (np.arange(50) % 5).astype(np.int32))


def batches(split, count, **options):
    options = {"batch_size": 16, "seed": 3, "steps": 3} | options
    return as_arrays(training_batches(TrainingPlan(split, 5, **options)), count)


@each_backend
def test_every_image_comes_at_most_once_an_epoch_with_its_label(split):
    (first, labels), (second, _), (third, _), (fourth, _) = batches(split, 4)
    assert first.dtype == np.uint8 and labels.dtype == np.float32
    ids = np.concatenate([first, second, third])[:, 0, 0, 0]
    assert len(set(ids)) == 48
    assert np.array_equal(labels.argmax(axis=1), first[:, 0, 0, 0] % 5)
    assert not np.array_equal(fourth, first)


@each_backend
def test_starting_later_gives_the_same_batches(split):
    whole, later = batches(split, 9), batches(split, 3, first_epoch=2)
    for (images, _), (again, _) in zip(whole[6:], later, strict=True):
        assert np.array_equal(images, again)


@each_backend
def test_order_follows_the_plan_and_the_seed(split):
    order, _ = epoch_plan(3, 0, 50, 0)
    assert np.array_equal(batches(split, 1)[0][0][:, 0, 0, 0], order[:16])
    assert not np.array_equal(batches(split, 1, seed=4)[0][0][:, 0, 0, 0], order[:16])
    assert np.array_equal(epoch_plan(3, 0, 50, 7)[0], order)


@each_backend
def test_augmented_batches_follow_the_plan(split):
    augment = AugmentationPipeline([RandomResizedCrop((0.3, 1.0)), RandomHorizontalFlip(0.5)])
    order, draws = epoch_plan(3, 0, 50, augment.draws)
    expected = augment.transform(split.images[order[:16]], draws[:16])
    (made, _), *_ = batches(split, 1, augment=augment)
    assert np.abs(made.astype(int) - expected).max() <= 1


EVERYTHING = [
    RandomResizedCrop((0.3, 1.0)),
    RandomTranslation(0.2),
    RandomHorizontalFlip(0.5),
    RandAugment(),
    RandomErasing(0.5),
]


def assert_equal_but_for_rounding(images, others):
    """tf.data's interpolation may round a gray level otherwise.

    RandAugment's changes of contrast can make more than one level of it, in a few pixels of the
    50,000: in none to two, depending on the processor.
    """
    gaps = np.abs(images.astype(int) - others)
    assert (gaps > 0).mean() < 1e-3 and (gaps > 1).mean() < 1e-4


@each_backend
def test_tf_data_and_threads_make_the_same_batches():
    from kmixer.data.batches import tf_data

    plan = TrainingPlan(load("fmnist").test, 10, 64, 5, 156, AugmentationPipeline(EVERYTHING))
    by_tf_data, by_threads = (
        as_arrays(engine.training_batches(plan), 5) for engine in (tf_data, threads)
    )
    for (images, labels), (others, same_labels) in zip(by_tf_data, by_threads, strict=True):
        assert np.array_equal(labels, same_labels)
        assert_equal_but_for_rounding(images, others)


MAKE = """
import sys
from kmixer import backend
backend.select(sys.argv[1])
import numpy as np
from kmixer.augment import *
from kmixer.data import batches, load
layers = [RandomResizedCrop((0.3, 1.0)), RandomTranslation(0.2), RandomHorizontalFlip(0.5), RandAugment(), RandomErasing(0.5)]
plan = batches.TrainingPlan(load("fmnist").test, 10, 64, 5, 156, augment=AugmentationPipeline(layers))
images, labels = zip(*batches.as_arrays(batches.training_batches(plan), 5))
np.savez(sys.argv[2], images=images, labels=labels)
"""


@pytest.mark.slow  # a process for each backend
def test_augmented_batches_are_the_same_under_every_backend(tmp_path):
    """To the bit, but for tf.data's rounding."""
    installed = [name for name in BACKENDS if find_spec(name)]
    if len(installed) < 2:
        pytest.skip("only one backend is installed")
    environment = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    for name in installed:
        command = [sys.executable, "-c", MAKE, name, tmp_path / f"{name}.npz"]
        subprocess.run(command, check=True, env=environment)
    first, *others = [np.load(tmp_path / f"{name}.npz") for name in installed]
    for other in others:
        assert np.array_equal(first["labels"], other["labels"])
        assert_equal_but_for_rounding(first["images"], other["images"])
        assert np.array_equal(other["images"], others[0]["images"])


@each_backend
def test_resident_images_are_the_ones_that_the_host_would_send(split):
    augment = AugmentationPipeline([RandomResizedCrop((0.3, 1.0))])
    ((indices, draws), labels), *_ = batches(split, 1, augment=augment, resident=True)
    (on_host, same_labels), *_ = batches(split, 1, augment=augment)
    model = with_resident_images(split.images, augment, keras.layers.Identity(), "float32")
    inside = keras.ops.convert_to_numpy(model([indices, draws], training=True))
    assert np.abs(inside.astype(int) - on_host).max() <= 1
    assert np.array_equal(labels, same_labels)


@each_backend
def test_images_that_are_resident_and_not_augmented_are_looked_up(split):
    ((indices, draws), _), *_ = batches(split, 1, resident=True)
    model = with_resident_images(
        split.images, AugmentationPipeline([]), keras.layers.Identity(), "float32"
    )
    inside = keras.ops.convert_to_numpy(model([indices, draws], training=True))
    assert inside.dtype == np.uint8 and np.array_equal(inside, split.images[indices])


@each_backend
def test_label_smoothing_spreads_a_share_over_all_classes(split):
    _, labels = batches(split, 1, label_smoothing=0.1)[0]
    assert np.allclose(np.sort(labels, axis=1), [[0.02] * 4 + [0.92]] * 16)


@each_backend
def test_evaluation_batches_are_one_pass_in_order_that_can_be_repeated(split):
    stream = evaluation_batches(EvaluationPlan(split, 5))
    for _ in range(2):
        passed = as_arrays(stream, None)
        assert np.array_equal(np.concatenate([images for images, _ in passed]), split.images)
        labels = np.concatenate([labels for _, labels in passed]).argmax(axis=1)
        assert np.array_equal(labels, split.labels)


@each_backend
def test_resident_evaluation_batches_count_from_the_first_image_of_their_split(split):
    passed = as_arrays(evaluation_batches(EvaluationPlan(split, 5, resident_from=7, draws=4)), 9)
    indices = np.concatenate([indices for (indices, _), _ in passed])
    assert np.array_equal(indices, np.arange(7, 57))
    assert all(draws.shape == (len(indices), 4) for (indices, draws), _ in passed)


def test_threads_stop_with_the_training_that_they_feed(split):
    plan = TrainingPlan(split, 5, batch_size=16, seed=3, steps=3)
    stream = threads.training_batches(plan)
    next(stream)
    assert any(thread.name.startswith(threads.NAME) for thread in threading.enumerate())
    stream.close()
    assert not any(thread.name.startswith(threads.NAME) for thread in threading.enumerate())


def test_an_epoch_without_batches_is_refused(split):
    with pytest.raises(ValueError, match="received 0 images an epoch, expected 1 to 50"):
        TrainingPlan(split, 5, 51, 3, steps=0)


def test_a_fault_in_a_thread_reaches_the_training(split):
    class Faulty(RandomHorizontalFlip):
        def transform(self, images, draws):
            raise ValueError("made here")

    stream = threads.training_batches(TrainingPlan(split, 5, 16, 3, 3, augment=Faulty()))
    with pytest.raises(ValueError, match="made here"):
        next(stream)


@pytest.mark.parametrize(
    ("count", "size"), [(5000, 1000), (10_000, 1000), (1009, 1009), (7919, 1024)]
)
def test_evaluation_batches_are_even_where_that_is_possible(count, size):
    assert even_batch_size(count) == size


@each_backend
def test_weighted_classes_give_each_image_the_weight_of_its_label(split):
    weights = np.array([1, 2, 3, 4, 5], np.float32)
    ((_, labels, counts),) = batches(split, 1, class_weights=weights)
    assert counts.tolist() == weights[labels.argmax(axis=1)].tolist()
    smoothed = batches(split, 1, class_weights=weights, label_smoothing=0.5)[0][2]
    assert smoothed == pytest.approx(0.5 * counts + 0.5 * weights.mean())
