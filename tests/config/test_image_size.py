"""The size of images means the same in every way it is written."""

import pytest

from kmixer.config import loading, yaml_files
from kmixer.config.image_size import read_image_size
from kmixer.errors import SettingsError


@pytest.mark.parametrize(
    ("written", "size"),
    [
        (64, 64), ("64", 64), ("64x256", (64, 256)), ("64X256", (64, 256)), ("64×256", (64, 256)),
        (" 64 x 256 ", (64, 256)), ([64, 256], (64, 256)), ((64, 256), (64, 256)),
        ("64x64", 64), ([64, 64], 64), ([64], 64),
    ],
)  # fmt: skip
def test_a_size_however_it_is_written(written, size):
    assert read_image_size(written) == size
    assert loading.build_settings({"data": {"image_size": written}}).data.image_size == size


@pytest.mark.parametrize(
    "written",
    ["64x", "x64", "64x256x3", "0", "64x0", "-64", "0x40", "64.5", "", "big", 0, -1, 6.5, True,
     [], [1, 2, 3], ["64"], {"height": 64}],
)  # fmt: skip
def test_what_is_no_size_is_refused_in_one_line(written):
    expected = "expected a side such as 64, or HEIGHTxWIDTH such as 64x256"
    with pytest.raises(SettingsError) as error:
        loading.build_settings({"data": {"image_size": written}})
    assert str(error.value) == f"data.image_size: received {written!r}, {expected}"


def test_a_side_that_no_run_may_have_is_refused():
    with pytest.raises(ValueError, match="received '64x9000', expected sides of at most 8,000"):
        read_image_size("64x9000")


def test_a_size_reads_back_from_the_yaml_that_is_written():
    for text in ("64x256", "[64, 256]", "64"):
        settings = loading.build_settings(loading.nest_yaml("data.image_size", text))
        read = yaml_files.parse_yaml(loading.dump(settings), "dump")
        assert loading.build_settings(read) == settings
