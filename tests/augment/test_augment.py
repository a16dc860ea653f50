"""What each augmentation does, on images that can be checked by eye."""

import keras
import numpy as np
import pytest

from kmixer import augment
from kmixer.augment import (
    AugmentationPipeline,
    RandAugment,
    RandomErasing,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomTranslation,
)
from kmixer.config import AugmentSettings
from kmixer.config.augment import STRONG_EXAMPLE
from kmixer.data import load, preview

LAYERS = [
    RandomResizedCrop((0.3, 0.9), (0.5, 2.0)),
    RandomTranslation(0.25),
    RandomHorizontalFlip(0.5),
    RandAugment(2, 15),
    RandomErasing(0.7),
]
NEUTRAL = [
    RandomResizedCrop((1.0, 1.0), (1.0, 1.0)),
    RandomTranslation(0.0),
    RandomHorizontalFlip(0.0),
    RandAugment(0),
    RandomErasing(0.0),
]


def name(layer):
    return type(layer).__name__


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, (64, 12, 10, 3), dtype=np.uint8)


def draws(layer, count=64, seed=2):
    return np.random.default_rng(seed).random((count, layer.draws), dtype=np.float32)


@pytest.mark.parametrize("layer", NEUTRAL, ids=name)
def test_neutral_setting_changes_nothing(layer, images):
    images = images[:, :10]  # square, since the neutral crop is
    assert np.array_equal(layer.transform(images, draws(layer)), images)


@pytest.mark.parametrize("layer", LAYERS, ids=name)
def test_shape_and_dtype_are_kept_and_images_differ(layer, images):
    made = layer.transform(images, draws(layer))
    assert made.shape == images.shape and made.dtype == np.uint8
    assert not np.array_equal(made, images)


@pytest.mark.parametrize("layer", LAYERS, ids=name)
def test_each_image_has_draws_of_its_own(layer, images):
    given = draws(layer)
    whole = layer.transform(images, given)
    single = layer.transform(images[5:6], given[5:6])
    assert np.abs(whole[5:6].astype(int) - single).max() <= 1


@pytest.mark.backends
@pytest.mark.parametrize("layer", LAYERS, ids=name)
def test_numpy_the_backend_and_tf_data_agree(layer, images):
    import tensorflow as tf

    given = draws(layer)
    expected = layer.transform(images, given).astype(int)
    inside = keras.ops.convert_to_numpy(layer(images, draws=given))
    stream = tf.data.Dataset.from_tensors((images, given)).map(layer.transform)
    outside = next(iter(stream)).numpy()
    assert np.abs(inside.astype(int) - expected).max() <= 1  # one gray level: rounding
    assert np.abs(outside.astype(int) - expected).max() <= 1


@pytest.mark.backends
@pytest.mark.parametrize("layer", LAYERS, ids=name)
def test_as_an_ordinary_layer(layer, images):
    import tensorflow as tf

    mapped = tf.data.Dataset.from_tensor_slices(images).batch(32).map(layer)
    assert [batch.shape[0] for batch in mapped] == [32, 32]
    assert np.array_equal(keras.ops.convert_to_numpy(layer(images, training=False)), images)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    given = draws(layer)
    assert np.array_equal(copy.transform(images, given), layer.transform(images, given))


def test_flip_mirrors_left_and_right():
    images = np.arange(6, dtype=np.uint8).reshape(1, 2, 3, 1)
    mirrored = RandomHorizontalFlip(0.5).transform(images, np.array([[0.49]], np.float32))
    assert mirrored[0, ..., 0].tolist() == [[2, 1, 0], [5, 4, 3]]
    kept = RandomHorizontalFlip(0.5).transform(images, np.array([[0.5]], np.float32))
    assert np.array_equal(kept, images)


def test_translation_shifts_whole_pixels_and_fills_black():
    images = np.arange(1, 10, dtype=np.uint8).reshape(1, 3, 3, 1)
    layer = RandomTranslation(0.34)  # of 3 pixels: at most 1
    down_right = layer.transform(images, np.array([[0.99, 0.99]], np.float32))
    assert down_right[0, ..., 0].tolist() == [[0, 0, 0], [0, 1, 2], [0, 4, 5]]
    up = layer.transform(images, np.array([[0.0, 0.5]], np.float32))
    assert up[0, ..., 0].tolist() == [[4, 5, 6], [7, 8, 9], [0, 0, 0]]


def test_erasing_blackens_one_rectangle_of_the_drawn_area():
    images = np.full((500, 20, 20, 1), 200, np.uint8)
    layer = RandomErasing(1.0, (0.1, 0.2), (0.5, 2.0))
    made = layer.transform(images, draws(layer, 500))[..., 0]
    black = made == 0
    areas = black.mean(axis=(1, 2))
    assert areas.min() > 0.07 and areas.max() < 0.24 and abs(areas.mean() - 0.15) < 0.01
    boxes = black.any(axis=2).sum(axis=1) * black.any(axis=1).sum(axis=1)
    assert np.array_equal(boxes, black.sum(axis=(1, 2)))
    some = RandomErasing(0.3).transform(images, draws(layer, 500))
    assert abs((some == 0).any(axis=(1, 2, 3)).mean() - 0.3) < 0.06


def test_crop_of_a_quarter_is_enlarged_bilinearly():
    """The middle 2×2 of a 4×4 image at twice its size, as torchvision resizes it (half pixels)."""
    image = np.zeros((1, 4, 4, 1), np.uint8)
    image[0, 1:3, 1:3, 0] = [[0, 100], [100, 200]]
    layer = RandomResizedCrop((0.25, 0.25), (1.0, 1.0))
    given = np.full((1, layer.draws), 0.5, np.float32)
    row = np.array([0, 25, 75, 100])
    assert np.array_equal(layer.transform(image, given)[0, ..., 0], row + row[:, None])


def test_crop_never_leaves_the_image():
    """White images stay white: nothing is read from beyond the border."""
    white = np.full((300, 9, 9, 1), 255, np.uint8)
    layer = RandomResizedCrop((0.05, 1.0))
    assert layer.transform(white, draws(layer, 300)).min() == 255


def test_crop_draws_areas_and_ratios_as_torchvision_does():
    layer = RandomResizedCrop((0.2, 0.6), (0.75, 4 / 3))
    top, left, height, width = layer.boxes(np, draws(layer, 20_000), 224, 224)
    areas, ratios = height * width / 224**2, np.log(width / height)
    assert areas.min() > 0.19 and areas.max() < 0.61 and abs(areas.mean() - 0.4) < 0.005
    assert abs(ratios.mean()) < 0.01 and np.abs(ratios).max() < np.log(4 / 3) + 0.02
    assert top.min() == 0 and (top + height).max() == 224 and (left + width).max() == 224


def torchvision_box(uniforms, tries, height, width, scale, ratio):
    """RandomResizedCrop.get_params of torchvision, its draws replaced by `uniforms`."""
    for attempt in range(tries):
        area = height * width * (scale[0] + (scale[1] - scale[0]) * uniforms[attempt])
        low, high = np.log(ratio[0]), np.log(ratio[1])
        aspect = np.exp(low + (high - low) * uniforms[tries + attempt])
        w, h = int(np.sqrt(area * aspect) + 0.5), int(np.sqrt(area / aspect) + 0.5)
        if 0 < w <= width and 0 < h <= height:
            top = int(uniforms[-2] * (height - h + 1))
            return top, int(uniforms[-1] * (width - w + 1)), h, w
    w, h = width, height
    if width / height < ratio[0]:
        h = round(width / ratio[0])
    elif width / height > ratio[1]:
        w = round(height * ratio[1])
    return (height - h) // 2, (width - w) // 2, h, w


def test_crop_falls_back_to_the_centre_of_a_long_image():
    layer, given = RandomResizedCrop((0.9, 1.0)), draws(RandomResizedCrop(), 50)
    for height, width in ((11, 30), (30, 11)):
        boxes = np.stack(layer.boxes(np, given, height, width), axis=1).astype(int)
        expected = torchvision_box(given[0], layer.tries, height, width, (0.9, 1.0), (0.75, 4 / 3))
        assert (boxes == expected).all()


def test_crop_tries_again_until_a_box_fits():
    scale, ratio = (0.9, 1.0), (0.75, 4 / 3)
    layer, given = RandomResizedCrop(scale, ratio), draws(RandomResizedCrop(), 2000)
    boxes = np.stack(layer.boxes(np, given, 28, 28), axis=1).astype(int)
    expected = [torchvision_box(row, layer.tries, 28, 28, scale, ratio) for row in given]
    same = (boxes == np.array(expected)).all(axis=1).mean()
    assert same > 0.995  # the rest differ by float32 rounding


def test_settings_build_the_pipeline_and_none_builds_nothing():
    assert augment.augmentation(AugmentSettings()).layers == []
    built = augment.augmentation(
        AugmentSettings(translation=0.1, rand_augment={"num_ops": 3}, random_erasing={})
    )
    assert [type(layer) for layer in built.layers] == [
        RandomTranslation,
        RandAugment,
        RandomErasing,
    ]
    assert built.draws == 2 + 3 + 5


def test_the_strong_example_shows_every_augmentation():
    off = AugmentSettings().model_dump(exclude={"on", "fill_mode"})
    shown = STRONG_EXAMPLE.model_dump(include=set(off))
    assert all(shown[key] and shown[key] != off[key] for key in off)
    assert set(off) == {*augment.LAYERS, *augment.MIXING_LAYERS}  # and each has a layer


def test_the_preview_has_a_row_for_every_augmentation(image_folder):
    train = load(str(image_folder)).train
    rows = preview.augmented_rows(train, STRONG_EXAMPLE, 3, seed=0)
    assert list(rows) == [
        "original", "RandomResizedCrop", "RandomTranslation", "RandomHorizontalFlip", "RandAugment",
        "RandomErasing", "CutMix", "MixUp", "all together",
    ]  # fmt: skip
    assert all(row.shape == (3, 8, 8, 1) and row.dtype == np.uint8 for row in rows.values())
    assert list(preview.augmented_rows(train, AugmentSettings(), 3, seed=0)) == ["original"]


def test_pipeline_deals_out_the_draws_in_order(images):
    both = AugmentationPipeline([RandomHorizontalFlip(0.5), RandomErasing(0.5)])
    given = draws(both)
    flipped = RandomHorizontalFlip(0.5).transform(images, given[:, :1])
    expected = RandomErasing(0.5).transform(flipped, given[:, 1:])
    assert np.array_equal(both.transform(images, given), expected)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(both))
    assert np.array_equal(copy.transform(images, given), expected)
