"""What the data decide: mean and standard deviation of the pixels."""

import numpy as np

from kmixer.training.resolve import measure_statistics


def test_the_statistics_of_images_of_one_level():
    """They are that level and the least spread there is, for each of the 256."""
    images = np.arange(256, dtype=np.uint8)[None, None, None] * np.ones((73, 8, 8, 1), np.uint8)
    mean, std = measure_statistics(images)
    assert mean == [round(level / 255, 4) for level in range(256)] and std == [1e-4] * 256


def test_the_statistics_by_hand():
    images = np.array([0, 255, 255, 0, 51], np.uint8).reshape(5, 1, 1, 1)
    mean, std = measure_statistics(images)
    assert mean == [0.44] and std == [0.4630]
