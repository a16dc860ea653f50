"""Order and augmentation are pure functions of (seed, epoch, position), under every backend."""

import subprocess
import sys
from importlib.util import find_spec

import keras
import numpy as np
import pytest

from kmixer import pipeline
from kmixer.augment import AugmentationPipeline, RandomHorizontalFlip, RandomResizedCrop
from kmixer.backend import BACKENDS
from kmixer.datasets import Split
from kmixer.sampling import epoch_plan

pytestmark = pytest.mark.backends


@pytest.fixture
def split():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (50, 6, 6, 1), dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(50)
    return Split(images, (np.arange(50) % 5).astype(np.int32))


def batches(split, count, **options):
    options = {"batch_size": 16, "seed": 3} | options
    return pipeline.as_arrays(pipeline.training_batches(split, 5, **options), count)


def test_every_image_comes_at_most_once_an_epoch_with_its_label(split):
    (first, labels), (second, _), (third, _), (fourth, _) = batches(split, 4)
    assert first.dtype == np.uint8 and labels.dtype == np.float32
    ids = np.concatenate([first, second, third])[:, 0, 0, 0]
    assert len(set(ids)) == 48
    assert np.array_equal(labels.argmax(axis=1), first[:, 0, 0, 0] % 5)
    assert not np.array_equal(fourth, first)


def test_starting_later_gives_the_same_batches(split):
    whole, later = batches(split, 9), batches(split, 3, first_epoch=2)
    for (images, _), (again, _) in zip(whole[6:], later, strict=True):
        assert np.array_equal(images, again)


def test_order_follows_the_plan_and_the_seed(split):
    order, _ = epoch_plan(3, 0, 50, 0)
    assert np.array_equal(batches(split, 1)[0][0][:, 0, 0, 0], order[:16])
    assert not np.array_equal(batches(split, 1, seed=4)[0][0][:, 0, 0, 0], order[:16])
    assert np.array_equal(epoch_plan(3, 0, 50, 7)[0], order)


def test_augmented_batches_follow_the_plan(split):
    augment = AugmentationPipeline([RandomResizedCrop((0.3, 1.0)), RandomHorizontalFlip(0.5)])
    order, draws = epoch_plan(3, 0, 50, augment.draws)
    expected = augment.transform(split.images[order[:16]], draws[:16])
    (made, _), *_ = batches(split, 1, augment=augment)
    assert np.abs(made.astype(int) - expected).max() <= 1


DIGEST = """
import hashlib, sys
from kmixer import backend
backend.select(sys.argv[1])
from kmixer import datasets, pipeline
from kmixer.augment import *
layers = [RandomResizedCrop((0.3, 1.0)), RandomTranslation(0.2), RandomHorizontalFlip(0.5), RandAugment(), RandomErasing(0.5)]
test = datasets.load("fmnist").test
stream = pipeline.training_batches(test, 10, 64, 5, augment=AugmentationPipeline(layers))
print(hashlib.sha256(b"".join(x.tobytes() for x, _ in pipeline.as_arrays(stream, 5))).hexdigest())
"""


def test_augmented_batches_are_the_same_bits_under_every_backend():
    installed = [name for name in BACKENDS if find_spec(name)]
    if len(installed) < 2:
        pytest.skip("only one backend is installed")
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST, name], capture_output=True, text=True, check=True
        ).stdout
        for name in installed
    }
    assert len(digests) == 1 and len(digests.pop()) == 65


def test_the_accelerator_gets_the_draws_that_the_host_would_use(split):
    augment = AugmentationPipeline([RandomResizedCrop((0.3, 1.0))])
    ((images, draws), _), *_ = batches(split, 1, augment=augment, on_host=False)
    (on_host, _), *_ = batches(split, 1, augment=augment)
    inside = keras.ops.convert_to_numpy(augment(images, draws=draws))
    assert np.abs(inside.astype(int) - on_host).max() <= 1


def test_label_smoothing_spreads_a_share_over_all_classes(split):
    _, labels = batches(split, 1, label_smoothing=0.1)[0]
    assert np.allclose(np.sort(labels, axis=1), [[0.02] * 4 + [0.92]] * 16)


def test_evaluation_batches_are_one_pass_in_order(split):
    stream = list(pipeline.evaluation_batches(split, 5).as_numpy_iterator())
    assert np.array_equal(np.concatenate([images for images, _ in stream]), split.images)
    (images, draws), _ = next(iter(pipeline.evaluation_batches(split, 5, draws=4)))
    assert draws.shape == (images.shape[0], 4)


@pytest.mark.parametrize(
    ("count", "size"), [(5000, 1000), (10_000, 1000), (1009, 1009), (7919, 1024)]
)
def test_evaluation_batches_are_even_where_that_is_possible(count, size):
    assert pipeline.even_batch_size(count) == size
