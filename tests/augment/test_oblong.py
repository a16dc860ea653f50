"""Augmentations of images of 16×64 pixels (height×width), by numbers that can be checked by eye."""

import numpy as np
import pytest
from PIL import Image

from kmixer.augment import (
    CutMix,
    MixUp,
    RandAugment,
    RandomErasing,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomTranslation,
)
from kmixer.augment.rand_augment import OPERATIONS

HEIGHT, WIDTH = 16, 64


@pytest.fixture
def images():
    """Each pixel's level is its column plus four times its row."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return (x + 4 * y).astype(np.uint8)[None, ..., None]


def draws(*values):
    return np.array([values], np.float32)


def test_a_shift_is_a_share_of_its_own_side(images):
    layer = RandomTranslation(0.25)  # at most 4 rows and 16 columns
    moved = layer.transform(images, draws(0.999, 0.999))[0, ..., 0]
    assert not moved[:4].any() and not moved[:, :16].any()
    assert np.array_equal(moved[4:, 16:], images[0, :-4, :-16, 0])


def test_a_flip_mirrors_the_width(images):
    flipped = RandomHorizontalFlip(1.0).transform(images, draws(0.0))
    assert np.array_equal(flipped, images[:, :, ::-1])


def crop(layer, share, ratio, top=0.0, left=0.0):
    """The box of a crop whose ten tries are all alike, in whole pixels."""
    uniforms = draws(*[share] * 10, *[ratio] * 10, top, left)
    return [float(side[0]) for side in layer.boxes(np, uniforms, HEIGHT, WIDTH)]


def test_the_ratio_of_a_crop_is_that_of_its_pixels_as_in_torchvision():
    square = RandomResizedCrop((0.25, 0.25), (1.0, 1.0))  # 256 of 1,024 pixels
    assert crop(square, 0.5, 0.5, left=0.999) == [0, 48, 16, 16]
    whole = RandomResizedCrop((1.0, 1.0), (4.0, 4.0))
    assert crop(whole, 0.5, 0.5) == [0, 0, 16, 64]


def test_where_no_crop_fits_the_largest_within_the_ratio_is_taken_from_the_center():
    default = RandomResizedCrop((1.0, 1.0))  # the whole area, at most 4/3 as wide as high
    assert crop(default, 0.5, 0.5) == [0, 21, 16, 21]


def test_a_crop_is_resized_to_the_images_own_shape(images):
    layer = RandomResizedCrop((0.25, 0.25), (1.0, 1.0))
    made = layer.transform(images, draws(*[0.5] * 20, 0.0, 0.0))[0, ..., 0].astype(int)
    assert made.shape == (HEIGHT, WIDTH)
    assert made[0, 0] == 0 and made[0, -1] == 15  # the first 16 columns, four times as wide
    assert np.array_equal(made[:, 30] - made[0, 30], 4 * np.arange(16))


def test_an_erased_rectangle_has_the_drawn_area_and_ratio(images):
    layer = RandomErasing(1.0, (0.25, 0.25), (1.0, 1.0))
    erased = layer.transform(images + 1, draws(0.0, 0.5, 0.5, 0.0, 0.999))[0, ..., 0] == 0
    assert erased[:, 48:].all() and erased.sum() == 256


def test_a_pasted_rectangle_has_the_images_shape_and_labels_count_its_pixels():
    pair = np.stack([np.zeros((HEIGHT, WIDTH, 1)), np.ones((HEIGHT, WIDTH, 1))]).astype(np.uint8)
    given = np.array([[0.75, 0.5, 0.5], [1.0 - 1e-6, 0.5, 0.5]], np.float32)
    pasted = CutMix(1.0).transform(pair, given)[0, ..., 0]
    assert pasted[4:12, 16:48].all() and pasted.sum() == 8 * 32
    labels = CutMix(1.0).mix_labels(np.eye(2, dtype=np.float32), given, (HEIGHT, WIDTH))
    assert np.allclose(labels, [[0.75, 0.25], [0, 1]])
    blended = MixUp(1.0).transform(200 * pair, np.array([[0.25], [1.0 - 1e-6]], np.float32))
    assert (blended[0] == 150).all() and (blended[1] == 200).all()


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("operation", ["Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY"])
def test_rand_augment_moves_as_pillow_does(images, operation, backwards):
    strength = -0.5 if backwards else 0.5
    matrix = {
        "ShearX": (1, 0.3 * strength, 0, 0, 1, 0),
        "ShearY": (1, 0, 0, 0.3 * strength, 1, 0),
        "TranslateX": (1, 0, -int(150 / 331 * WIDTH * strength), 0, 1, 0),
        "TranslateY": (1, 0, 0, 0, 1, -int(150 / 331 * HEIGHT * strength)),
    }.get(operation)
    image = Image.fromarray(images[0, ..., 0])
    if matrix:
        expected = image.transform(image.size, Image.Transform.AFFINE, matrix)
    else:
        expected = image.rotate(30 * strength)
    chosen = (OPERATIONS.index(operation) + 0.25 + 0.5 * backwards) / len(OPERATIONS)
    moved = RandAugment(1, 15, 31).transform(images, draws(chosen))[0, ..., 0]
    assert np.array_equal(moved, np.asarray(expected))
