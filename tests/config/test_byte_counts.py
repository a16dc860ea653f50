"""Bytes as people write them."""

import pytest

from kmixer.config.byte_counts import read_bytes


@pytest.mark.parametrize(
    ("text", "expected"),
    [("65536", 65536), ("64k", 65536), ("64 KiB", 65536), ("64kB", 65536), ("1.5M", 1_572_864)],
)
def test_bytes_with_a_unit(text, expected):
    assert read_bytes(text) == expected


@pytest.mark.parametrize(
    "text", ["", "k", "-1k", "0", "64x", "1e3", "0.1", "9" * 400, "６４k", "1..5k"]
)
def test_what_is_no_number_of_bytes_is_refused(text):
    with pytest.raises(ValueError, match="expected bytes such as 65536, 256k or 1M"):
        read_bytes(text)
