"""The patches that are chosen for images of any size."""

import math

import pytest

from kmixer.data.sources.image_folder.divisible import divisible_size
from kmixer.errors import SettingsError
from kmixer.models.patches import Patches, border_pixels, default_patches


@pytest.mark.parametrize(
    ("size", "patches", "grid"),
    [
        ((28, 28), (4, 4), (7, 7)),
        ((64, 256), (16, 16), (4, 16)),
        ((16, 64), (4, 4), (4, 16)),
        ((256, 64), (16, 16), (16, 4)),
        ((100, 140), (20, 20), (5, 7)),
        ((97, 97), (17, 16), (6, 6)),  # neighbors share one column of pixels
        ((101, 101), (17, 14), (7, 7)),
        ((97, 31), (7, 6), (16, 5)),
        ((26, 26), (2, 2), (13, 13)),  # not four patches of 13 pixels
        ((2, 3), (1, 1), (2, 3)),
    ],
)
def test_patches_are_about_seven_along_a_side(size, patches, grid):
    assert default_patches(*size) == patches
    assert Patches(*patches).grid(*size) == grid


@pytest.mark.parametrize("width", [1.0, 1.3, 4.0])
def test_patches_cover_every_pixel_and_are_neither_one_nor_thousands(width):
    for height in range(4, 260):
        size = divisible_size(height, round(width * height))
        assert len(set(default_patches(*size))) == 1  # side by side: data and models agree
        for sides in (size, (height, height)):
            patch, stride = default_patches(*sides)
            rows, columns = Patches(patch, stride).grid(*sides)
            assert stride <= patch and 16 <= rows * columns <= 196
            assert (rows - 1) * stride + patch == sides[0]
            assert (columns - 1) * stride + patch == sides[1]


def test_where_no_square_patches_fit_another_size_is_named():
    with pytest.raises(SettingsError, match=r"101×64 pixels .* data\.image_size .* such as 64x96"):
        default_patches(101, 64)
    with pytest.raises(SettingsError, match="1×5000"):
        default_patches(1, 5000)


@pytest.mark.parametrize(
    ("size", "near"),
    [
        ((64, 256), (64, 256)),  # as it is
        ((97, 97), (96, 96)),
        ((31, 97), (32, 96)),
        ((1080, 1920), (160, 288)),
        ((3000, 4000), (192, 256)),
        ((512, 512), (224, 224)),
        ((128, 1024), (80, 640)),
        ((1, 1), (4, 4)),
    ],
)
def test_a_size_that_patches_divide_is_near_in_shape_and_no_larger_than_wanted(size, near):
    assert divisible_size(*size, 224**2) == near
    assert math.prod(near) <= 1.1 * 224**2


@pytest.mark.parametrize(
    ("side", "size", "stride", "border", "added"),
    [
        (28, 14, 4, "drop", (0, -2)),  # starts at 0, 4, 8 and 12
        (28, 14, 5, "drop", (0, -4)),
        (28, 14, 5, "pad", (0, 1)),
        (28, 14, 4, "pad", (1, 1)),
        (28, 4, 4, "drop", (0, 0)),
        (28, 14, 5, "refuse", (0, 0)),
        (3, 4, 2, "pad", (0, 0)),  # no patch fits: the error says so
    ],
)
def test_a_border_is_dropped_or_padded(side, size, stride, border, added):
    assert border_pixels(side, size, stride, border) == added
