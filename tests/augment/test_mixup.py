"""MixUp and CutMix: pixels and labels agree, by numbers that can be checked by eye."""

import keras
import numpy as np
import pytest
from scipy import stats

from kmixer import augment
from kmixer.augment import AugmentationPipeline, CutMix, MixUp, RandomChoice
from kmixer.config import AugmentSettings
from kmixer.data import Split
from kmixer.data.batches import TrainingPlan, as_arrays, training_batches

BOTH = RandomChoice([CutMix(1.0), MixUp(0.2)], [0.5, 0.3])
LAYERS = [MixUp(0.2), CutMix(1.0), BOTH]


def name(layer):
    return type(layer).__name__


def draws(layer, count=64):
    return np.random.default_rng(2).random((count, layer.draws), dtype=np.float32)


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, (64, 8, 6, 3), dtype=np.uint8)


@pytest.fixture
def labels():
    return np.eye(10, dtype=np.float32)[np.random.default_rng(1).integers(0, 10, 64)]


def test_mixup_blends_by_the_drawn_share():
    images = np.stack([np.zeros((2, 2, 1)), np.full((2, 2, 1), 200)]).astype(np.uint8)
    given = np.array([[0.25], [0.5]], np.float32)
    layer = MixUp(alpha=1.0)  # uniform: the share is the draw
    assert layer.transform(images, given)[:, 0, 0, 0].tolist() == [150, 100]
    labels = layer.mix_labels(np.eye(2, dtype=np.float32), given, (2, 2))
    assert np.allclose(labels, [[0.25, 0.75], [0.5, 0.5]])


def test_cutmix_pastes_a_rectangle_and_counts_its_pixels():
    images = np.stack([np.zeros((4, 4, 1)), np.ones((4, 4, 1))]).astype(np.uint8)
    given = np.array([[0.75, 0.5, 0.5], [0.75, 0.0, 0.0]], np.float32)
    layer = CutMix(alpha=1.0)  # three quarters stay: a rectangle of half of each side
    first, second = layer.transform(images, given)[..., 0]
    assert first.tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert second.tolist() == [[0, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]
    labels = layer.mix_labels(np.eye(2, dtype=np.float32), given, (4, 4))
    assert np.allclose(labels, [[12 / 16, 4 / 16], [1 / 16, 15 / 16]])


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_shares_follow_the_beta_distribution(alpha):
    uniforms = np.random.default_rng(0).random((20_000, 1), dtype=np.float32)
    labels = np.tile(np.eye(2, dtype=np.float32), (10_000, 1))
    own = MixUp(alpha).mix_labels(labels, uniforms, (4, 4))[labels == 1]
    # Of alpha 0.2, 1.8 % lie closer to 1 than float32 can tell.
    assert stats.kstest(own, stats.beta(alpha, alpha).cdf).statistic < 0.02


@pytest.mark.backends
@pytest.mark.parametrize("layer", LAYERS, ids=name)
def test_numpy_the_backend_and_tf_data_agree(layer, images, labels):
    import tensorflow as tf

    given = draws(layer)
    expected = layer.transform(images, given).astype(int), layer.mix_labels(labels, given, (8, 6))
    inside = layer(images, draws=given)
    stream = tf.data.Dataset.from_tensors((images, labels, given)).map(
        lambda x, y, draws: (layer.transform(x, draws), layer.mix_labels(y, draws, (8, 6)))
    )
    outside = next(iter(stream))
    assert np.abs(keras.ops.convert_to_numpy(inside).astype(int) - expected[0]).max() <= 1
    assert np.abs(outside[0].numpy().astype(int) - expected[0]).max() <= 1
    assert np.allclose(outside[1], expected[1], atol=1e-5)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert np.array_equal(copy.transform(images, given), expected[0])


@pytest.mark.backends
@pytest.mark.parametrize("layer", LAYERS, ids=name)
@pytest.mark.parametrize("resident", [True, False])
def test_labels_and_pixels_are_mixed_alike(layer, resident):
    """Images whose gray level is 25 times their class, so that mean level and label say the same."""
    classes = (np.arange(64) % 10).astype(np.int32)
    images = np.repeat(25 * classes, 64).reshape(64, 8, 8, 1).astype(np.uint8)
    together = AugmentationPipeline([layer])
    plan = TrainingPlan(
        Split(images, classes), 10, 32, seed=0, steps=2, augment=together, resident=resident
    )
    ((x, y),) = as_arrays(training_batches(plan), 1)
    if resident:
        x = keras.ops.convert_to_numpy(together(images[x[0]], draws=x[1]))
    assert np.allclose(y.sum(axis=1), 1, atol=1e-5)
    assert np.allclose(x.mean(axis=(1, 2, 3)), y @ (25 * np.arange(10)), atol=0.6)
    assert (y.max(axis=1) < 0.99).any()


def test_each_is_chosen_by_its_probability(images, labels):
    given = draws(BOTH)
    augmented, mixed = BOTH.transform(images, given), BOTH.mix_labels(labels, given, (8, 6))
    cutmix, mixup = BOTH.layers
    first, third = given[:, 0] < 0.5, given[:, 0] >= 0.8
    for chosen, layer, layer_draws in (
        (first, cutmix, given[:, 1:4]),
        (~first & ~third, mixup, given[:, 4:]),
    ):
        assert chosen.sum() > 5
        assert np.array_equal(augmented[chosen], layer.transform(images, layer_draws)[chosen])
        assert np.allclose(mixed[chosen], layer.mix_labels(labels, layer_draws, (8, 6))[chosen])
    assert np.array_equal(augmented[third], images[third])
    assert np.array_equal(mixed[third], labels[third])


@pytest.mark.parametrize("probabilities", [[0.7, 0.5], [0.5], [0.5, -0.1]])
def test_impossible_probabilities_are_refused(probabilities):
    with pytest.raises(ValueError, match=r"received \[.*\] for 2 layers, expected one each"):
        RandomChoice([CutMix(), MixUp()], probabilities)
    with pytest.raises(ValueError, match="alpha: received 0, expected more than 0"):
        MixUp(0)


def test_settings_build_one_choice():
    (choice,) = augment.augmentation(AugmentSettings(mixup={}, cutmix={"alpha": 0.5})).layers
    assert [(type(layer), layer.alpha) for layer in choice.layers] == [(CutMix, 0.5), (MixUp, 0.2)]
    with pytest.raises(ValueError, match="an image is mixed once"):
        AugmentSettings(mixup={"probability": 0.6}, cutmix={})
