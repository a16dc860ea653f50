"""The record of the images that a run has seen."""

import numpy as np
import pytest

from kmixer.errors import RunError
from kmixer.runs.seen_images import (
    SEEN_FILE,
    read_seen_images,
    seen_by_start,
    write_seen_images,
)


def digests(*numbers):
    return np.array(numbers, np.uint64)


@pytest.fixture
def folder(tmp_path):
    record = {"train": digests(1, 2, 3), "validation": digests(3, 4), "test": digests(5)}
    write_seen_images(tmp_path, record)
    return tmp_path


def test_an_image_that_is_trained_on_and_chosen_by_counts_as_trained_on(folder):
    seen, asked = read_seen_images(folder), digests(1, 3, 4, 5, 6)
    assert seen.trained_on(asked).tolist() == [True, True, False, False, False]
    assert seen.chosen_by(asked).tolist() == [False, False, True, False, False]
    assert seen.tested_on(asked).tolist() == [False, False, False, True, False]


def test_a_run_without_the_record_has_none(tmp_path):
    assert read_seen_images(tmp_path) is None


@pytest.mark.parametrize("arrays", [
    {"train": digests(1), "validation": digests(2)},
    {"train": digests(1), "validation": digests(2), "test": np.zeros((2, 2), np.uint64)},
    {"train": digests(1), "validation": digests(2), "test": np.zeros(2)},
])  # fmt: skip
def test_a_damaged_record_is_refused_in_one_line(tmp_path, arrays):
    np.savez(tmp_path / SEEN_FILE, allow_pickle=False, **arrays)
    with pytest.raises(RunError, match=SEEN_FILE):
        read_seen_images(tmp_path)
    (tmp_path / SEEN_FILE).write_bytes(b"no archive")
    with pytest.raises(RunError, match="damaged"):
        read_seen_images(tmp_path)


def test_what_the_run_to_start_from_has_seen_is_told(folder):
    asked = {"train": digests(9), "validation": digests(8), "test": digests(2, 4, 5, 7)}
    (line,) = seen_by_start(folder, asked)
    assert line.startswith("2 of 4 test images were seen before")
    assert seen_by_start(folder, asked | {"test": digests(5, 7)}) == []
    assert seen_by_start("a-start-by-name", asked) == []
