"""A zip file of very many members is refused before its list is read."""

import io
import struct
import time
import zipfile

import numpy as np
import pytest

from kmixer.files.keras_archive import check_file
from kmixer.files.npz import read_arrays
from kmixer.files.zip_directory import check_directory


def many(count, large=False):
    """Return a zip file that lists so many members, none of which is there."""
    entry = b"PK\1\2" + bytes(24) + struct.pack("<H", 1) + bytes(16) + b"a"  # of the name a
    listed = entry * count
    end = b""
    if large:
        end += struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(listed), 0)
        end += struct.pack("<4sLQL", b"PK\6\7", 0, len(listed), 1)
    end += struct.pack(
        "<4s4H2LH",
        b"PK\5\6",
        0,
        0,
        min(count, 65_535),
        min(count, 65_535),
        0 if large else len(listed),
        0,
        0,
    )
    return listed + end


@pytest.mark.parametrize("large", [False, True])
def test_a_million_members_are_not_read(large, tmp_path):
    file = tmp_path / "x.npz"
    file.write_bytes(many(1_000_000, large))
    began = time.process_time()
    with pytest.raises(ValueError, match=r"its list of members has 47,000,000 bytes"):
        read_arrays(file)
    with pytest.raises(Exception, match=r"its list of members has"):
        check_file(file)
    assert time.process_time() - began < 1


def test_ordinary_files_have_small_lists():
    buffer = io.BytesIO()
    np.savez(buffer, **{f"array{number}": np.zeros(1) for number in range(2000)})
    check_directory(buffer)
    with zipfile.ZipFile(buffer) as archive:
        assert len(archive.namelist()) == 2000
    check_directory(io.BytesIO(b"no zip file"))
    check_directory(io.BytesIO(b""))
