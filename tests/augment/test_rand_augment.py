"""RandAugment: each operation against Pillow, and every image with draws of its own."""

import math

import keras
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from scipy import stats

from kmixer.augment import RandAugment
from kmixer.augment.rand_augment import OPERATIONS

HEIGHT, WIDTH = 20, 26


def affine(*matrix):
    return lambda image: image.transform(image.size, Image.Transform.AFFINE, matrix)


def enhanced(enhancer, factor):
    return lambda image: enhancer(image).enhance(factor)


def pillow(operation, strength):
    """Return what torchvision's RandAugment does to a Pillow image (its `_apply_op`)."""
    factor = 1 + 0.9 * strength
    return {
        "Identity": lambda image: image,
        "ShearX": affine(1, 0.3 * strength, 0, 0, 1, 0),
        "ShearY": affine(1, 0, 0, 0.3 * strength, 1, 0),
        "TranslateX": affine(1, 0, -int(150 / 331 * WIDTH * strength), 0, 1, 0),
        "TranslateY": affine(1, 0, 0, 0, 1, -int(150 / 331 * HEIGHT * strength)),
        "Rotate": lambda image: image.rotate(30 * strength),
        "Brightness": enhanced(ImageEnhance.Brightness, factor),
        "Color": enhanced(ImageEnhance.Color, factor),
        "Contrast": enhanced(ImageEnhance.Contrast, factor),
        "Sharpness": enhanced(ImageEnhance.Sharpness, factor),
        "Posterize": lambda image: ImageOps.posterize(image, 8 - round(4 * abs(strength))),
        "Solarize": lambda image: ImageOps.solarize(image, 255 * (1 - abs(strength))),
        "AutoContrast": ImageOps.autocontrast,
        "Equalize": ImageOps.equalize,
    }[operation]


def draw(operation, backwards=False):
    """Return the uniform number that means an operation."""
    return (OPERATIONS.index(operation) + 0.25 + 0.5 * backwards) / len(OPERATIONS)


def images(channels, count=6):
    """Return smooth and noisy images, of which some do not use all levels."""
    generator = np.random.default_rng(channels)
    noise = generator.integers(0, 256, (count, HEIGHT, WIDTH, channels))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    smooth = 60 + 3 * x + 2 * y + 20 * np.sin(x / 4)
    noise[::2] = smooth[..., None] + generator.integers(0, 20, noise[::2].shape)
    return noise.astype(np.uint8)


def test_the_operations_are_torchvisions():
    assert len(OPERATIONS) == 14 and set(OPERATIONS) == {
        "Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color",
        "Contrast", "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize",
    }  # fmt: skip


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("magnitude", [0, 9, 13, 30])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_does_what_pillow_does(operation, backwards, magnitude, channels):
    given = images(channels)
    strength = magnitude / 30 * (-1 if backwards else 1)
    change = pillow(operation, strength)
    expected = [np.asarray(change(Image.fromarray(image.squeeze()))) for image in given]
    draws = np.full((len(given), 1), draw(operation, backwards), np.float32)
    made = RandAugment(1, magnitude).transform(given, draws)
    difference = np.abs(made.astype(int) - np.stack(expected).reshape(given.shape))
    # Pillow cuts 255 * 1.0000000x to 254 at times.
    assert difference.max() <= (operation == "AutoContrast")
    assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize(
    ("operation", "backwards", "expected"),
    [
        ("TranslateX", False, [[0, 10, 100], [0, 50, 60]]),
        ("TranslateX", True, [[100, 200, 0], [60, 50, 0]]),
        ("Brightness", False, [[19, 190, 255], [95, 114, 95]]),
        ("Brightness", True, [[1, 10, 20], [5, 6, 5]]),
        ("Contrast", False, [[0, 119, 255], [24, 43, 24]]),
        ("Posterize", False, [[0, 96, 192], [48, 48, 48]]),
        ("Solarize", False, [[245, 155, 55], [205, 195, 205]]),
        ("AutoContrast", False, [[0, 120, 255], [53, 67, 53]]),
        ("Identity", True, [[10, 100, 200], [50, 60, 50]]),
    ],
)
def test_numbers_that_can_be_checked_by_eye(operation, backwards, expected):
    """At the full magnitude: one pixel of three, 1.9 or 0.1 times, 4 bits, all levels inverted."""
    image = np.array([[10, 100, 200], [50, 60, 50]], np.uint8)[None, ..., None]
    draws = np.array([[draw(operation, backwards)]], np.float32)
    made = RandAugment(1, 30).transform(image, draws)
    assert made[0, ..., 0].tolist() == expected


def test_a_shear_moves_each_row_further():
    """By 0.3 pixels a row, measured in the rows' middles: 0.15, 0.45, 0.75, 1.05, …."""
    image = np.tile(np.array([1, 2, 3], np.uint8), (6, 1))[None, ..., None]
    made = RandAugment(1, 30).transform(image, np.array([[draw("ShearX")]], np.float32))
    rows = [[1, 2, 3]] * 2 + [[2, 3, 0]] * 3 + [[3, 0, 0]]
    assert made[0, ..., 0].tolist() == rows


def test_each_operation_is_drawn_alike_often_in_both_directions():
    """The middle pixel of a ramp tells operation and direction, for those that have one."""
    draws = np.random.default_rng(0).random((14_000, 1), dtype=np.float32)
    pixels = np.arange(1, 10, dtype=np.uint8).reshape(1, 3, 3, 1) * 20
    made = RandAugment(1, 30).transform(np.repeat(pixels, len(draws), axis=0), draws)
    seen = {}
    for operation in OPERATIONS:
        for backwards in (False, True):
            one = np.array([[draw(operation, backwards)]], np.float32)
            look = RandAugment(1, 30).transform(pixels, one).tobytes()
            seen[look] = seen.get(look, 0) + 1
    looks = [image.tobytes() for image in made]
    assert set(looks) == set(seen)
    expected = [500 * ways for ways in seen.values()]
    assert stats.chisquare([looks.count(look) for look in seen], expected).pvalue > 0.001
    assert len(seen) > 16


def test_the_largest_draw_is_still_an_operation():
    given = images(1, 2)
    draws = np.array([[0.0], [np.nextafter(np.float32(1), np.float32(0))]], np.float32)
    made = RandAugment(1).transform(given, draws)
    assert np.array_equal(made[1], given[1])  # the last is Identity
    assert not np.array_equal(made[0], given[0])


def test_operations_follow_one_another_and_images_do_not_meet():
    given = images(3)
    draws = np.random.default_rng(4).random((len(given), 3), dtype=np.float32)
    made = RandAugment(3).transform(given, draws)
    for image, row, whole in zip(given, draws, made, strict=True):
        alone = image[None]
        for uniform in row:
            alone = RandAugment(1).transform(alone, np.array([[uniform]]))
        assert np.array_equal(alone[0], whole)


@pytest.mark.backends
@pytest.mark.parametrize(
    ("channels", "dtype"),
    [
        (1, "float32"),
        (3, "uint8"),
        pytest.param(1, "uint8", marks=pytest.mark.slow),
        pytest.param(3, "float32", marks=pytest.mark.slow),
    ],
)
def test_every_path_makes_the_same_bits(channels, dtype):
    """NumPy, tf.data (alone and as a map of the layer), and inside the compiled model."""
    import tensorflow as tf

    layer = RandAugment(2, 17)
    given = np.tile(images(channels), (10, 1, 1, 1)).astype(dtype)
    draws = np.random.default_rng(5).random((len(given), 2), dtype=np.float32)
    expected = layer.transform(given, draws)
    assert expected.dtype == dtype
    stream = tf.data.Dataset.from_tensor_slices((given, draws)).batch(32)
    mapped = np.concatenate(list(stream.map(layer.transform).as_numpy_iterator()))
    called = np.concatenate(list(stream.map(layer).as_numpy_iterator()))
    inside = keras.ops.convert_to_numpy(compiled(layer)(given, draws))
    for made in (mapped, called, inside):
        assert made.dtype == dtype and np.array_equal(made, expected)


def compiled(layer):
    """Return the layer's call, compiled as the backend compiles a training step."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(lambda x, draws: layer(x, draws=draws), jit_compile=True)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(lambda x, draws: layer(x, draws=draws))
    return lambda x, draws: layer(x, draws=draws)


def test_an_image_without_contrast_stays_and_a_small_one_is_no_error():
    for shape in ((1, 1, 1, 1), (1, 2, 5, 3)):
        flat = np.full(shape, 70, np.uint8)
        for operation in ("Sharpness", "AutoContrast", "Equalize", "Contrast"):
            made = RandAugment(1).transform(flat, np.array([[draw(operation)]], np.float32))
            assert np.array_equal(made, flat), operation


def test_magnitudes_that_there_are_not_are_refused():
    with pytest.raises(
        ValueError, match="magnitude: received 31 of 31 bins, expected 2 bins or more"
    ):
        RandAugment(2, 31)
    assert RandAugment(2, 0, 2).draws == 2


def test_the_configuration_is_the_constructors_arguments():
    config = RandAugment(3, 4, 11, seed=5).get_config()
    assert {k: config[k] for k in ("num_ops", "magnitude", "num_magnitude_bins", "seed")} == {
        "num_ops": 3, "magnitude": 4, "num_magnitude_bins": 11, "seed": 5,
    }  # fmt: skip
    assert math.isclose(4 / 10, RandAugment.from_config(config)._strength)
