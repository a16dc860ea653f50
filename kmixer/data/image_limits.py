"""Limits on what an image file makes a reader do: some small files keep one busy for minutes.

The work of decoding grows with an image's pixels, which are limited, but for a few formats also
with something that costs the file next to nothing: the scans of a JPEG, the layers and tiles of a
JPEG 2000, the size of a TIFF's tiles. Each is found by a quick look at the file's content. Pillow's
own readers go from part to part of a file in Python; their steps are counted.
"""

from __future__ import annotations

import math
import os
import re
import struct
from typing import IO, Any

from PIL import Image

# libjpeg-turbo's authors advise a limit of this kind; what encoders write has up to 20.
MOST_SCANS, USUAL_SCANS = 100, 20
SCANNED_PIXELS = 1_000_000_000  # pixels times scans, of a file with more than the usual scans
MOST_SEGMENTS = 20_000  # of a JPEG
MOST_PACKETS = 2_000_000  # of a JPEG 2000: layers times tiles, components and resolutions
MOST_CODESTREAMS = 100
TILE_SPARE = 16_000_000  # pixels by which a TIFF's tile may be larger than the image
# Calls that read a file: a number for every file, and one for so many of its bytes.
STEPS, BYTES_PER_STEP = 20_000, 64
# Bytes that are read: of what stands before the pixels, in pieces or all of a file at once, and
# then. A file may claim gigabytes that it does not take on the disk, or packed.
OPENING_BYTES, WHOLE_BYTES, BYTES_PER_PIXEL = 32_000_000, 128_000_000, 16

# In a JPEG: what begins a segment. FF 00 and the marks of a restart stand within a scan.
_SEGMENT = re.compile(rb"\xff+([^\x00\x01\xd0-\xd8\xff])", re.DOTALL)
_SCAN, _END = b"\xda", b"\xd9"
_CODESTREAM = b"\xff\x4f\xff\x51"  # in a JPEG 2000: the beginning, and that of its first segment
_TILE, _DATA, _CODING = 0xFF90, 0xFF93, 0xFF52  # kinds of its segments
TILE_WIDTH, TILE_LENGTH = 322, 323  # tags of a TIFF


class TooMuchWorkError(Exception):
    """What of an image file is beyond the limits."""


class CountedFile:
    """A binary file for Pillow, whose steps and bytes are counted.

    Args:
        file: opened for reading.
        owned: whether closing this closes the file, too.
    """

    def __init__(self, file: IO[bytes], owned: bool) -> None:
        self._file, self._owned, self._bytes_left = file, owned, OPENING_BYTES
        start = file.tell()
        self._steps_left = STEPS + (file.seek(0, os.SEEK_END) - start) // BYTES_PER_STEP
        file.seek(start)

    def _step(self) -> None:
        self._steps_left -= 1
        if self._steps_left < 0:
            raise TooMuchWorkError("it is made of more parts than an image of its size has")

    def expect(self, pixels: int) -> None:
        """Count the bytes anew, of an image that is open and has so many pixels."""
        self._bytes_left = WHOLE_BYTES + BYTES_PER_PIXEL * pixels

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, or all."""
        self._step()
        most = max(self._bytes_left, WHOLE_BYTES) if size < 0 else self._bytes_left
        content = self._file.read(most + 1 if size < 0 else min(size, most + 1))
        if len(content) > most:
            raise TooMuchWorkError("it holds more bytes than an image of its size has")
        self._bytes_left = max(self._bytes_left - len(content), 0)
        return content

    def readline(self, size: int = -1) -> bytes:
        """Read to the end of a line."""
        self._step()
        return self._file.readline(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to another place."""
        self._step()
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place."""
        return self._file.tell()

    def fileno(self) -> int:
        """Return the descriptor, with which libtiff reads."""
        return self._file.fileno()

    def close(self) -> None:
        """Close the file, if it is owned."""
        if self._owned:
            self._file.close()

    def __del__(self) -> None:
        """Close it when the image lets go of it: Pillow closes only what it has opened itself."""
        self.close()


def check_work(image: Image.Image) -> None:
    """Refuse an image that would take long to decode for its size; nothing is decoded.

    Args:
        image: opened by Pillow.

    Raises:
        TooMuchWorkError: see above.
    """
    pixels = image.width * image.height
    if image.format in ("JPEG", "MPO"):
        _check_scans(_scans(_content(image, pixels)), pixels)
    elif image.format == "JPEG2000":
        _check_packets(_content(image, pixels))
    elif image.format == "TIFF":
        _check_tile(image, pixels)


def _content(image: Image.Image, pixels: int) -> bytes:
    file = getattr(image, "fp")  # noqa: B009  of what Image.open returns
    place = file.tell()
    file.seek(0)
    content = bytes(file.read())
    file.seek(place)
    file.expect(pixels)  # all of it is read once more
    return content


def _check_scans(scans: int, pixels: int) -> None:
    if scans > MOST_SCANS or (scans > USUAL_SCANS and scans * pixels > SCANNED_PIXELS):
        number = f"more than {MOST_SCANS}" if scans > MOST_SCANS else str(scans)
        raise TooMuchWorkError(
            f"its {pixels:,} pixels come in {number} scans, of which photos have up to"
            f" {USUAL_SCANS}; save it again"
        )


def _scans(content: bytes) -> int:
    """Return the scans of a JPEG, up to its end: other images may follow, or a film."""
    scans, place = 0, 2
    for _ in range(MOST_SEGMENTS):
        found = _SEGMENT.search(content, place)
        if not found or found[1] == _END:
            return scans
        scans += found[1] == _SCAN
        if scans > MOST_SCANS:
            return scans
        place = found.end() + int.from_bytes(content[found.end() : found.end() + 2], "big")
    raise TooMuchWorkError(f"it has more than {MOST_SEGMENTS:,} segments")


def _check_packets(content: bytes) -> None:
    """Refuse a JPEG 2000 of many packets, which a tile has for each of its layers, however empty.

    What looks like a codestream is looked at wherever it is: which one is read says the reader.
    """
    place = content.find(_CODESTREAM)
    for _ in range(MOST_CODESTREAMS):
        if place < 0:
            return
        if (packets := _packets(content, place)) > MOST_PACKETS:
            raise TooMuchWorkError(f"it has {packets:,} packets, at most {MOST_PACKETS:,} are read")
        place = content.find(_CODESTREAM, place + 1)
    raise TooMuchWorkError(f"it has more than {MOST_CODESTREAMS} codestreams")


def _packets(content: bytes, start: int) -> int:
    """Return the packets of a codestream, each tile taken for the one of most layers."""
    try:
        right, bottom, _, _, width, height, left, top, components = struct.unpack_from(
            ">8IH", content, start + 8
        )
    except struct.error:  # cut: the reader says so
        return 0
    if not width or not height:
        return 0
    tiles = math.ceil((right - left) / width) * math.ceil((bottom - top) / height)
    return max(tiles, 1) * components * _most_layers(content, start + 2)


def _most_layers(content: bytes, place: int) -> int:
    """Return the largest product of layers and resolutions that a segment of coding names."""
    most, tile_end = 1, place
    try:
        while True:
            kind, length = struct.unpack_from(">HH", content, place)
            if kind == _CODING:
                layers, resolutions = struct.unpack_from(">xxHxB", content, place + 3)
                most = max(most, layers * (resolutions + 1))
            elif kind == _TILE:
                part = int.from_bytes(content[place + 6 : place + 10], "big")
                tile_end = place + part if part > length else len(content)
            place = tile_end if kind == _DATA else place + 2 + length
    except struct.error:  # the end
        return most


def _check_tile(image: Image.Image, pixels: int) -> None:
    tags: Any = getattr(image, "tag_v2", {})
    sides = [tags.get(tag) for tag in (TILE_WIDTH, TILE_LENGTH)]
    if all(isinstance(side, int) for side in sides):
        if (tile := math.prod(sides)) > pixels + TILE_SPARE:
            raise TooMuchWorkError(f"its {pixels:,} pixels come in tiles of {tile:,}")
    elif any(side is not None for side in sides):
        raise TooMuchWorkError(f"its tiles are of {sides} pixels, expected two numbers")
