"""Image files that keep a reader busy are refused at once, and others are read as before."""

import io
import struct
import tracemalloc

import numpy as np
import pytest
from PIL import Image

import image_bombs
from image_bombs import BOMBS, SMALL, after, encoded, read, scans, tiff
from kmixer.data.decode import decode, describe
from kmixer.errors import DataError
from subprocess_usage import python

SECONDS, MEGABYTES = 4, 1000  # each is read in three ways; half as long on a fast processor


@pytest.mark.parametrize("kind", BOMBS)
def test_no_image_keeps_a_reader_busy(kind):
    _, seconds = read(BOMBS[kind])
    assert seconds < SECONDS


@pytest.mark.whole
def test_all_of_them_as_a_figure(saw, tmp_path):
    (tmp_path / "here").mkdir()
    done = python([image_bombs.__file__], tmp_path / "here")
    most = float(done.stdout)
    assert most < SECONDS and done.megabytes < MEGABYTES
    count = len(BOMBS)
    saw(
        "image bombs",
        f"{count} of {count} refused or read in at most {most:.1f} s of the processor,"
        f" all in {done.megabytes:.0f} MB",
    )


@pytest.mark.parametrize(
    "kind", ["15,000 empty scans", "a JPEG 2000 of many layers and tiles", "a TIFF with one large tile",
             "a JPEG of garbage"]
)  # fmt: skip
def test_a_file_and_its_content_are_refused_in_the_same_words(kind, tmp_path):
    file = tmp_path / "x.img"
    file.write_bytes(BOMBS[kind])
    with pytest.raises(DataError, match=r"x\.img: not read: it"):
        decode(file, SMALL)
    with pytest.raises(DataError, match="x: not read: it"):
        decode(io.BytesIO(BOMBS[kind]), SMALL, "x")


def test_ordinary_files_of_the_same_kinds_are_read(tmp_path):
    picture = Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64))
    film = encoded(picture, "JPEG", progressive=True) + b"\xff\xda" * 1000  # behind the photo's end
    files = [
        scans(64, 10), film, encoded(picture, "JPEG", progressive=True),
        encoded(picture, "JPEG2000", quality_layers=[80, 40, 20, 10], tile_size=(16, 16)),
        encoded(picture, "TIFF", tile=(16, 16)), encoded(picture, "TIFF", compression="tiff_lzw"),
        encoded(picture, "JPEG", comment=b"x" * 60_000, icc_profile=bytes(500_000)),
    ]  # fmt: skip
    for content in files:
        assert describe(io.BytesIO(content)).size == (64, 64)
        decode(io.BytesIO(content), SMALL)


def test_a_file_that_is_read_is_closed(tmp_path):
    import os

    file = tmp_path / "x.png"
    Image.new("L", (8, 8)).save(file)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        decode(file, SMALL)
        describe(file)
    assert len(os.listdir("/proc/self/fd")) <= before


def hollow(path, content, place, size):
    """Write a file into which so many zeros come, which take no room on the disk."""
    with path.open("wb") as file:
        file.write(content[:place])
        file.seek(size, 1)
        file.write(content[place:])
    return path


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG", "TIFF", "JPEG2000"])
def test_a_file_that_claims_gigabytes_is_not_read_into_memory(kind, tmp_path):
    content, place, size = encoded(Image.new("L", (8, 8)), kind), -2, 2**31
    if kind == "PNG":
        size -= 100
        content = after(content, 33, struct.pack(">I", size) + b"tEXt")
        place = 33 + 8
    if kind == "TIFF":  # a description of two gigabytes
        content = tiff({256: 8, 257: 8, 258: 8, 262: 1, 270: 8, 273: 8, 279: 64}, bytes(64))
        entry = content.index(struct.pack("<HH", 270, 4))
        claim = struct.pack("<HHII", 270, 1, size - 1000, 200)
        content = content[:entry] + claim + content[entry + 12 :]
    file = hollow(tmp_path / "x.img", content, place, size)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="more bytes than an image of its size has"):
            decode(file, SMALL)
        assert tracemalloc.get_traced_memory()[1] < 500e6
    finally:
        tracemalloc.stop()
