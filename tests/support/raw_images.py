"""Image files that Pillow reads and does not write."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

GRAY, RGB, RGBA = 0, 2, 6  # PNG's color types


def png_16_bit(levels, color_type):
    """Return a PNG with 16 bits a level, of `(height, width)` or `(height, width, channels)`."""
    height, width = np.shape(levels)[:2]
    rows = b"".join(b"\0" + np.asarray(row, ">u2").tobytes() for row in levels)
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def encoded(image, kind, **options):
    """Return an image, or an array of pixels, as the bytes of a file of that format."""
    buffer = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(np.asarray(image))
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(levels, **tags):
    """Return a TIFF of an array; `tags` such as `photometric=0` are changed in it."""
    content = encoded(levels, "TIFF")
    numbers = {"photometric": 262, "sample_format": 339}
    for name, value in tags.items():
        (begin, old) = next(
            (struct.pack("<HHI", numbers[name], 3, 1), old)
            for old in range(4)
            if struct.pack("<HHIH", numbers[name], 3, 1, old) in content
        )
        content = content.replace(begin + struct.pack("<H", old), begin + struct.pack("<H", value))
    return content


def exif_entry(tag, kind, count, value):
    """Return an entry of an EXIF directory, little-endian; `value` is its four bytes."""
    return struct.pack("<HHI4s", tag, kind, count, value)


def with_exif(jpeg, *entries, tail=b"", times=1):
    """Return a JPEG with an EXIF directory of these entries; `tail` begins at offset 14 + 12 n."""
    directory = struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4) + tail
    return with_segment(jpeg, b"Exif\0\0II*\0" + directory, times)


def with_segment(jpeg, content, times=1):
    """Return a JPEG with this as its APP1 segment."""
    segment = b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content
    return jpeg[:2] + segment * times + jpeg[2:]
