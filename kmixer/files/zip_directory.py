"""The size of a zip file's list of members, before the list is read."""

import struct
from typing import IO

MOST_BYTES = 2_000_000  # of the list; a checkpoint of ten thousand arrays has one of 1 MB
_END, _END_BYTES, _LONGEST_COMMENT = b"PK\5\6", 22, 65_535
# Of large files: a locator of 20 bytes before the end, and a record of 56 bytes before that.
_LOCATOR, _LOCATOR_BYTES, _RECORD_BYTES = b"PK\6\7", 20, 56


def check_directory(file: IO[bytes]) -> None:
    """Refuse a zip file that lists more members than ours have: reading a million takes seconds.

    Args:
        file: the whole file; its place is at the beginning afterwards.

    Raises:
        ValueError: see above.
    """
    size = file.seek(0, 2)
    file.seek(max(size - _END_BYTES - _LONGEST_COMMENT - _LOCATOR_BYTES - _RECORD_BYTES, 0))
    tail = file.read()
    file.seek(0)
    end = tail.rfind(_END)
    if end < 0 or len(tail) < end + _END_BYTES:
        return  # whoever reads it says that it is none
    (listed,) = struct.unpack_from("<I", tail, end + 12)
    record = end - _LOCATOR_BYTES - _RECORD_BYTES
    if tail[max(end - _LOCATOR_BYTES, 0) : end].startswith(_LOCATOR) and record >= 0:
        (listed,) = struct.unpack_from("<Q", tail, record + 40)
    if listed > MOST_BYTES:
        raise ValueError(
            f"its list of members has {listed:,} bytes, at most {MOST_BYTES:,} are read"
        )
