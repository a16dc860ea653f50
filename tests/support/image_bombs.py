"""Small image files that keep a reader busy, or fill memory, unless they are refused.

As a program this reads them all and prints the most seconds of the processor that one took.
"""

import io
import struct
import time
import zlib

from PIL import Image

from kmixer.data.decode import Decoding, decode, describe, read_levels
from kmixer.errors import DataError

SMALL = Decoding(8, 8, 1)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def scans(side, count, mode="L", progressive=True):
    """Return a JPEG whose last scan comes so many times more."""
    content = encoded(Image.new(mode, (side, side)), "JPEG", progressive=progressive)
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * count + b"\xff\xd9"


def after(content, place, more):
    return content[:place] + more + content[place:]


def chunk(kind, data=b""):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks):
    content = encoded(Image.new("L", (8, 8)), "PNG")
    return after(content, content.index(b"IDAT") - 4, b"".join(chunks))


def gif(*blocks):
    content = encoded(Image.new("P", (8, 8)), "GIF")
    return after(content, content.index(b",", 13), b"".join(blocks))


def gif_frames(count):
    content = encoded(Image.new("P", (8, 8)), "GIF")
    frame = content[content.index(b",", 13) : -1]
    return content[:-1] + frame * count + b";"


def tiff(tags, data=b"", following=0):
    """Return a TIFF of one directory; "data" among the tags' values is the place of the data."""
    place = 8 + 2 + 12 * len(tags) + 4
    entries = (
        struct.pack("<HHII", tag, 4, 1, place if value == "data" else value)
        for tag, value in sorted(tags.items())
    )
    return (
        b"II*\0"
        + struct.pack("<IH", 8, len(tags))
        + b"".join(entries)
        + struct.pack("<I", following)
        + data
    )


def tiff_tile(side):
    data = zlib.compress(bytes(side * side), 9)
    plain = {256: 1, 257: 1, 258: 8, 259: 8, 262: 1, 277: 1}
    return tiff(plain | {322: side, 323: side, 324: "data", 325: len(data)}, data)


def tiff_directories(count):
    """Return a TIFF of one pixel a page."""
    tags = ((256, 1), (257, 1), (273, 8), (279, 1))
    size = 2 + 12 * len(tags) + 4
    pages = (
        struct.pack("<H", len(tags))
        + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        + struct.pack("<I", 8 + size * (page + 1) if page + 1 < count else 0)
        for page in range(count)
    )
    return b"II*\0" + struct.pack("<I", 8) + b"".join(pages)


def jpeg_2000(side, layers, **options):
    """Return a JPEG 2000 that claims so many layers, each a packet of every tile."""
    content = encoded(Image.new("L", (side, side)), "JPEG2000", no_jp2=True, **options)
    place = content.index(b"\xff\x52")
    return content[: place + 6] + struct.pack(">H", layers) + content[place + 8 :]


def behind_a_small_one(content):
    """Return a JP2 file whose first box holds a small codestream, its second another."""
    small = encoded(Image.new("L", (8, 8)), "JPEG2000")
    place = small.index(b"\xff\x4f\xff\x51") - 4
    box = struct.pack(">I", 8 + len(small[place + 4 :])) + b"free" + small[place + 4 :]
    return small[: place - 4] + box + struct.pack(">I", len(content) + 8) + b"jp2c" + content


JPEG = encoded(Image.new("L", (64, 64)), "JPEG")
# By what they are; each is refused, or read in a moment.
BOMBS = {
    "15,000 empty scans": scans(2000, 15_000),
    "as many in color": scans(1000, 15_000, "RGB"),
    "101 scans of many pixels": scans(4000, 101),
    "99 scans of very many pixels": scans(8000, 99),
    "scans that do not progress": scans(1000, 15_000, "RGB", progressive=False),
    "scans behind a thumbnail": after(scans(2000, 15_000), 2, b"\xff\xe1\0\x08\xff\xda\xff\xd9ab"),
    "scans behind bytes of filling": scans(2000, 15_000).replace(b"\xff\xda", b"\xff\xff\xff\xda"),
    "a JPEG of a million comments": after(JPEG, 2, b"\xff\xfe\0\2" * 1_000_000),
    "a JPEG of garbage": after(JPEG, 2, b"\xff\0" * 4_000_000),
    "a PNG of a million chunks": png(chunk(b"prIv") * 1_000_000),
    "a PNG of packed texts": png(chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8), 9)) * 20),
    "a PNG of packed international texts": png(
        chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(10**8), 9)) * 20),
    "a PNG with a packed profile": png(chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(10**8), 9))),
    "a PNG of a thousand million frames": png(chunk(b"acTL", struct.pack(">II", 2**30, 0))),
    "a GIF of a million comments": gif(b"!\xfe\x01a\0" * 1_000_000),
    "a GIF of 200,000 frames": gif_frames(200_000),
    "a PPM with a long comment": b"P5 #" + b"x" * 20_000_000 + b"\n8 8 255\n" + bytes(64),
    "a PPM with a long number": b"P5 " + b"0" * 20_000_000 + b"8 8 255\n" + bytes(64),
    "a TIFF of 50,000 pages": tiff_directories(50_000),
    "a TIFF whose next page is this one": tiff({256: 1, 257: 1, 273: 8, 279: 1}, following=8),
    "a TIFF with one large tile": tiff_tile(20_000),
    "a JPEG 2000 of many layers and tiles": jpeg_2000(2000, 65_535, tile_size=(16, 16)),
    "another behind a small one": behind_a_small_one(jpeg_2000(2000, 65_535, tile_size=(16, 16))),
}  # fmt: skip


def read(content):
    """Return what describing, asking for levels and decoding a file gave, and its seconds."""
    began, given = time.process_time(), []
    for step in (describe, read_levels, lambda file: decode(file, SMALL)):
        try:
            given.append(step(io.BytesIO(content)))
        except DataError as error:
            assert "\n" not in str(error)
            given.append(error)
    return given, time.process_time() - began


if __name__ == "__main__":
    print(max(read(content)[1] for content in BOMBS.values()))
