"""What a fine-tuning takes over from a run, above all the size of its images."""

from pathlib import Path

import pytest

from kmixer.config import loading
from kmixer.runs.run import Run

SQUARE, WIDE = [16, 16, 1], [16, 64, 1]


def start(shape, image_size=None, **data):
    settings = loading.build_settings({"data": data, "model": {"patch_size": 4}})
    values = Run(Path("run"), settings, {"input_shape": shape}).start_settings(image_size)
    built = loading.build_settings(values).data  # what it gives are settings
    return built.image_size, built.resize_size, built.crop_size


@pytest.mark.parametrize(
    ("shape", "data", "image_size", "expected"),
    [
        (SQUARE, {}, None, (None, 16, 16)),
        (SQUARE, {}, 32, (None, 32, 32)),
        (SQUARE, {"resize_size": 20, "crop_size": 16}, None, (None, 20, 16)),
        (WIDE, {"resize_size": 16}, None, (None, 16, 16)),  # its model takes the center square
        (WIDE, {}, None, ((16, 64), None, None)),
        (WIDE, {}, 32, (None, 32, 32)),
        (WIDE, {}, (32, 128), ((32, 128), None, None)),
        (SQUARE, {}, (32, 128), ((32, 128), None, None)),
    ],
)
def test_images_get_the_size_that_the_run_knows_or_another(shape, data, image_size, expected):
    assert start(shape, image_size, **data) == expected


def test_images_are_fitted_as_the_runs_were():
    settings = loading.build_settings({"data": {"fit": "pad"}})
    values = Run(Path("run"), settings, {"input_shape": WIDE}).start_settings()
    assert values["data"]["fit"] == "pad"
