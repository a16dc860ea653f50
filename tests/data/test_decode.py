"""What the values of an image file mean: each kind, by pixels that can be worked out by hand."""

import io
import struct
import threading
import warnings

import keras
import numpy as np
import PIL
import pytest
from PIL import Image

from kmixer.data import decode as decode_module
from kmixer.data import image_formats
from kmixer.data.decode import Decoding, decode, describe, open_image
from kmixer.data.pillow_limits import PixelBudget, without_pillow_limits
from kmixer.errors import DataError
from raw_images import (
    GRAY,
    RGB,
    RGBA,
    encoded,
    exif_entry,
    png_16_bit,
    tiff,
    with_exif,
    with_segment,
)

if keras.backend.backend() != "tensorflow":
    pytest.skip("images are read before Keras", allow_module_level=True)

ORIENTATION, SHORT, SIGNED_SHORT, TEXT, FLOAT, RATIONAL = 0x112, 3, 8, 2, 11, 10


def pixels(content, channels=1, size=(2, 2), **options):
    """Decode a file's bytes; gray pixels as rows of numbers."""
    decoded = decode(io.BytesIO(content), Decoding(*size, channels, **options), "x")
    return (decoded[..., 0] if channels == 1 else decoded).tolist()


def refusal(content, **options):
    with pytest.raises(DataError) as caught:
        pixels(content, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix("x: ")


LEVELS = {
    "float up to 1": (np.float32, [[0, 0.5], [0.7, 1]], [[0, 128], [178, 255]]),
    "float up to 255": (np.float32, [[0, 100], [200, 255]], [[0, 100], [200, 255]]),
    "float up to 65535": (np.float32, [[0, 257], [514, 65535]], [[0, 1], [2, 255]]),
    "float beyond": (np.float32, [[0, 1e6], [2e6, 4e6]], [[0, 64], [128, 255]]),
    "faint float": (np.float32, [[0, 1e-4], [2e-4, 4e-4]], [[0, 64], [128, 255]]),
    "float from below 0": (np.float32, [[-1, -0.5], [0.2, 1]], [[0, 0], [51, 255]]),
    "8 of 16 bits": (np.uint16, [[0, 1], [200, 255]], [[0, 1], [200, 255]]),
    "10 of 16 bits": (np.uint16, [[0, 341], [682, 1023]], [[0, 85], [170, 255]]),
    "12 of 16 bits": (np.uint16, [[0, 1365], [2730, 4095]], [[0, 85], [170, 255]]),
    "14 of 16 bits": (np.uint16, [[0, 5461], [10922, 16383]], [[0, 85], [170, 255]]),
    "16 bits": (np.uint16, [[0, 257], [32896, 65535]], [[0, 1], [128, 255]]),
    "32 bits": (np.int32, [[0, 1000], [500_000, 1_000_000]], [[0, 0], [128, 255]]),
    "32 bits from below 0": (np.int32, [[-9, 0], [100, 255]], [[0, 0], [100, 255]]),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "levels", "expected"), LEVELS.values(), ids=LEVELS)
def test_white_is_the_level_that_the_image_reaches(kind, levels, expected):
    array = np.array(levels, kind)
    assert pixels(tiff(array)) == expected
    if kind == np.uint16:
        assert pixels(encoded(array, "PNG")) == expected
        assert pixels(encoded(array, "TIFF", compression="tiff_lzw")) == expected
        assert pixels(png_16_bit(levels, GRAY)) == expected


def test_a_few_glints_darken_nothing():
    levels = np.full((32, 32), 0.5, np.float32)
    levels[0, :3] = 1.3, 12, 12
    seen = np.array(pixels(tiff(levels), size=(32, 32)))
    assert seen[0, :3].tolist() == [255] * 3 and (seen[1:] == 128).all()
    counts = np.full((64, 64), 2048, np.uint16)
    counts[0, :4] = 65_535  # of 4,096 pixels
    assert pixels(tiff(counts), size=(64, 64))[1][1] == 128


def test_a_recorded_white_level_is_that_of_dark_images_too():
    dark = tiff(np.full((2, 2), 200, np.uint16))
    assert pixels(dark) == [[200] * 2] * 2
    assert pixels(dark, white_level=4095) == [[12] * 2] * 2  # 12.5, rounded to even


def test_an_image_of_another_scale_than_its_data_set_is_refused():
    bright = tiff(np.full((2, 2), 60_000, np.uint16))
    assert refusal(bright, white_level=4095) == (
        "its levels reach 60,000, on another scale than those of its data set, where white is"
        " 4,095 (data.white_level)"
    )
    assert "its levels reach 0.5," in refusal(tiff(np.full((2, 2), 0.5, np.float32)), white_level=255)  # fmt: skip
    assert pixels(tiff(np.zeros((2, 2), np.float32)), white_level=255) == [[0, 0], [0, 0]]


def test_levels_that_mean_nothing_are_refused():
    levels = np.full((2, 2), -3, np.float32)
    assert refusal(tiff(levels)) == "all its levels are below black, which is 0: -3 to -3"
    levels[0, 0] = np.nan
    assert "not finite" in refusal(tiff(levels))


def test_sixteen_bit_colors_keep_both_bytes():
    color = [[[0, 1365, 4095]] * 2] * 2
    assert pixels(png_16_bit(color, RGB), 3) == [[[0, 85, 255]] * 2] * 2
    assert pixels(png_16_bit(color, RGB), 3, white_level=65_535) == [[[0, 5, 16]] * 2] * 2
    opaque = [[[0, 1365, 4095, 65_535]] * 2] * 2
    assert pixels(png_16_bit(opaque, RGBA), 3) == [[[0, 85, 255]] * 2] * 2
    clear = [[[4095, 0, 0, 65_535], [0, 0, 0, 0]]] * 2
    assert pixels(png_16_bit(clear, RGBA), 3) == [[[255, 0, 0], [255, 255, 255]]] * 2


def test_negatives_and_unsigned_numbers():
    levels = np.array([[0, 65_535], [0, 257]], np.uint16)
    assert pixels(tiff(levels, photometric=0)) == [[255, 0], [255, 254]]
    gray = np.array([[0, 255], [0, 1]], np.uint8)
    assert pixels(tiff(gray, photometric=0)) == [[255, 0], [255, 254]]
    large = np.array([[0, 4_000_000_000], [0, 2_000_000_000]], np.uint32).view(np.int32)
    assert pixels(tiff(large, sample_format=1)) == [[0, 255], [0, 128]]


@pytest.mark.parametrize(
    ("mode", "color", "kind", "expected"),
    [
        ("1", 1, "PNG", [255] * 3),
        ("1", 1, "TIFF", [255] * 3),
        ("L", 7, "BMP", [7] * 3),
        ("CMYK", (0, 255, 255, 0), "TIFF", [255, 0, 0]),
        ("CMYK", (0, 255, 255, 0), "JPEG", [255, 0, 0]),  # which Adobe writes inverted
        ("YCbCr", (128, 128, 128), "TIFF", [128] * 3),
        ("LAB", (255, 128, 128), "TIFF", [255] * 3),
        ("LAB", (0, 128, 128), "TIFF", [0] * 3),
        ("RGB", (1, 2, 3), "PPM", [1, 2, 3]),
        ("RGB", (1, 2, 3), "DIB", [1, 2, 3]),
        ("RGB", (1, 2, 3), "JPEG2000", [1, 2, 3]),
    ],
)
def test_color_spaces(mode, color, kind, expected):
    if mode == "YCbCr" and int(PIL.__version__.partition(".")[0]) < 13:
        pytest.skip("Pillow 12 takes uncompressed YCbCr TIFF files for damaged")
    content = encoded(Image.new(mode, (2, 2), color), kind)
    seen = np.array(pixels(content, 3)).reshape(-1, 3)
    assert abs(seen - expected).max() <= 1  # JPEG and LAB round


def dot(color, opacity=255):
    """Return a transparent image with one visible pixel, the first."""
    image = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    image.putpixel((0, 0), (*color, opacity))
    return image


@pytest.mark.parametrize(
    ("color", "ground"),
    [((0, 0, 0), 255), ((190, 190, 190), 255), ((192, 192, 192), 0), ((255, 255, 255), 0), ((200, 40, 40), 255)],
)  # fmt: skip
def test_transparent_images_lie_on_white_and_whitish_ones_on_black(color, ground):
    image = dot(color)
    expected = [list(color), [ground] * 3, [ground] * 3, [ground] * 3]
    kinds = {
        "PNG": image, "GIF": image, "WEBP": image, "TIFF": image, "palette": image.quantize(4),
        "LA": image.convert("LA"),
    }  # fmt: skip
    for name, each in kinds.items():
        kind, options = ("PNG", {}) if name in ("palette", "LA") else (name, {})
        content = encoded(each, kind, **(options | ({"lossless": True} if kind == "WEBP" else {})))
        seen = np.array(pixels(content, 3)).reshape(-1, 3)
        wanted = expected if name != "LA" else [[Image.new("RGB", (1, 1), color).convert("L").getpixel((0, 0))] * 3, *expected[1:]]  # fmt: skip
        assert seen.tolist() == wanted, name


def test_the_visible_part_counts_by_its_opacity():
    white_with_a_shadow = Image.new("RGBA", (2, 2), (0, 0, 0, 10))
    white_with_a_shadow.putpixel((0, 0), (255, 255, 255, 255))
    assert pixels(encoded(white_with_a_shadow, "PNG")) == [[255, 0], [0, 0]]


def test_one_gray_level_that_is_transparent():
    drawing = np.array([[0, 255], [255, 255]], np.uint8)
    assert pixels(encoded(drawing, "PNG", transparency=255)) == [[0, 255], [255, 255]]
    assert pixels(encoded(255 - drawing, "PNG", transparency=0)) == [[255, 0], [0, 0]]
    nothing = Image.new("RGBA", (2, 2), (255, 255, 255, 0))
    assert pixels(encoded(nothing, "PNG")) == [[255, 255], [255, 255]]


@pytest.mark.parametrize(
    ("kind", "frames"),
    [("TIFF", 2), ("GIF", 2), ("PNG", 2), ("WEBP", 2), ("AVIF", 2), ("MPO", 1)],
)
def test_the_first_frame_is_read(kind, frames):
    images = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    content = encoded(images[0], kind, save_all=True, append_images=images[1:])
    red, green, blue = pixels(content, 3, (8, 8))[4][4]
    assert red > 250 and green < 5 and blue < 5
    assert describe(io.BytesIO(content)).frames == frames


def corner(kind="JPEG", **options):
    """Return a file of 16×32 pixels whose upper left quarter is white."""
    array = np.zeros((16, 32), np.uint8)
    array[:8, :16] = 255
    return encoded(Image.fromarray(array).convert("RGB"), kind, **options)


def white_corner(content):
    """Return in which corner the white is, and whether the image stands upright."""
    width, height = describe(io.BytesIO(content), "x").size
    seen = decode(io.BytesIO(content), Decoding(16, 16, 1, "stretch"), "x")[..., 0] > 127
    corners = {"upper left": (2, 2), "upper right": (2, 13), "lower left": (13, 2), "lower right": (13, 13)}  # fmt: skip
    (found,) = [name for name, (row, column) in corners.items() if seen[row, column]]
    return found, height > width


TURNED = exif_entry(ORIENTATION, SHORT, 1, b"\6\0\0\0")
ODD_EXIF = {
    "nothing odd": (TURNED,),
    "signed": (exif_entry(ORIENTATION, SIGNED_SHORT, 1, b"\6\0\0\0"),),
    "float": (exif_entry(ORIENTATION, FLOAT, 1, struct.pack("<f", 6)),),
    "two of them": (exif_entry(ORIENTATION, SHORT, 2, b"\6\0\1\0"),),
    "a signed resolution": (TURNED, exif_entry(0x11A, RATIONAL, 1, struct.pack("<I", 38))),
    "text as resolution": (TURNED, exif_entry(0x11A, TEXT, 4, b"abc\0")),
    "a float width": (TURNED, exif_entry(0x100, FLOAT, 1, struct.pack("<f", 1))),
}
NO_ORIENTATION = {
    "text": (exif_entry(ORIENTATION, TEXT, 4, b"abc\0"),),
    "negative": (exif_entry(ORIENTATION, SIGNED_SHORT, 1, b"\xfa\xff\0\0"),),
    "zero": (exif_entry(ORIENTATION, SHORT, 1, bytes(4)),),
    "none": (exif_entry(ORIENTATION, SHORT, 0, bytes(4)),),
    "of an unknown type": (exif_entry(ORIENTATION, 99, 1, b"\6\0\0\0"),),
    "far away": (exif_entry(ORIENTATION, SHORT, 9999, b"\xff\xff\0\0"),),
    "not there": (),
}


@pytest.mark.parametrize("entries", ODD_EXIF.values(), ids=ODD_EXIF)
def test_a_photo_is_turned_whatever_else_its_exif_says(entries):
    tail = struct.pack("<ii", -72, 1)
    assert white_corner(with_exif(corner(), *entries, tail=tail)) == ("upper right", True)
    twice = with_exif(corner(), *entries, tail=tail, times=2)
    assert white_corner(twice) == ("upper right", True)


@pytest.mark.parametrize("entries", NO_ORIENTATION.values(), ids=NO_ORIENTATION)
def test_an_orientation_that_is_none_turns_nothing(entries):
    assert white_corner(with_exif(corner(), *entries)) == ("upper left", False)


@pytest.mark.parametrize("exif", [b"", bytes(range(200)), b"II*\0", b"II*\0\x08\0\0\0\1"])
def test_damaged_exif_spoils_no_photo(exif):
    content = with_segment(corner(), b"Exif\0\0" + exif)
    assert white_corner(content) == ("upper left", False)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_every_format_is_turned_upright(kind):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    assert white_corner(corner(kind, exif=exif)) == ("upper right", True)


def test_png_is_described_without_being_decoded(monkeypatch):
    content = encoded(np.zeros((4, 6), np.uint8), "PNG")
    monkeypatch.setattr(Image.Image, "load", pytest.fail)
    assert describe(io.BytesIO(content)).size == (6, 4)


def test_content_counts_and_not_the_name(tmp_path):
    (tmp_path / "photo.png").write_bytes(corner("JPEG"))
    facts = describe(tmp_path / "photo.png")
    assert (facts.format, facts.size, facts.deep) == ("JPEG", (32, 16), False)
    assert image_formats.misnamed(tmp_path / "photo.png", facts.format) == "named .png, holds JPEG"
    assert image_formats.misnamed("photo.jfif", "JPEG") is None
    assert image_formats.misnamed("photo.jpg", "MPO") is None
    assert describe(io.BytesIO(encoded(np.zeros((2, 2), np.uint16), "PNG"))).deep


NAMES = {
    "a.JPG": None, "a.jfif": None, "a.jpe": None, "a.avif": None, "a.heic": None, "a.mpo": None,
    "a.txt": "no image suffix (.txt)", "a": "no image suffix", "a.NEF": "no image suffix (.nef)",
}  # fmt: skip


@pytest.mark.parametrize(("name", "reason"), NAMES.items())
def test_why_a_file_is_none_by_its_name(name, reason, monkeypatch):
    monkeypatch.setattr(image_formats, "reads_heic", lambda: True)
    assert image_formats.skip_reason(name) == reason


CONTENTS = {
    b"": "empty file",
    b"\xef\xbb\xbf<!DOCTYPE html><html>": "not an image: an HTML page",
    b"<?xml version='1.0'?><svg>": "not an image: an SVG drawing",
    b"%PDF-1.7": "not an image: a PDF document",
    b"\0\0\0\x20ftypisom": "not an image: a video (MP4 or QuickTime)",
    b"\0\0\0\x20ftypavif": "damaged image, or of a kind that is not read: an AVIF file",
    b"\x1aE\xdf\xa3": "not an image: a WebM or Matroska video",
    b'{"error": 404}': "not an image: JSON text",
    b"no image": "not an image: text",
    bytes(600): "not an image: nothing but zeros",
    b"version https://git-lfs.github.com/spec/v1":
        "not an image: a Git LFS pointer, without the image: run git lfs pull",
    b"\x89PNG\r\n\x1a\n\0\0": "damaged image, or of a kind that is not read: a PNG file",
    bytes(range(128, 255)): f"not an image: none of the formats {', '.join(image_formats.FORMATS)}",
}  # fmt: skip


@pytest.mark.parametrize(("content", "reason"), CONTENTS.items(), ids=range(len(CONTENTS)))
def test_what_is_no_image_is_called_what_it_is(content, reason, tmp_path):
    assert refusal(content) == reason
    (tmp_path / "photo.jpg").write_bytes(content)
    with pytest.raises(DataError, match=f"{tmp_path}"):
        describe(tmp_path / "photo.jpg")


def test_a_cut_file_is_truncated():
    assert "truncated" in refusal(encoded(Image.effect_noise((99, 99), 50), "JPEG")[:3000])


def test_heic_is_read_where_its_library_is_and_named_where_not(tmp_path, monkeypatch):
    heif = pytest.importorskip("pillow_heif")
    photo = Image.new("RGB", (64, 32), (200, 40, 40))
    (tmp_path / "photo.jpg").touch()
    heif.from_pillow(photo).save(tmp_path / "photo.heic", quality=95)
    content = (tmp_path / "photo.heic").read_bytes()
    (tmp_path / "photo.jpg").write_bytes(content)  # and whatever its name
    seen = decode(tmp_path / "photo.jpg", Decoding(32, 64, 3))
    assert abs(seen[16, 32].astype(int) - (200, 40, 40)).max() < 6
    monkeypatch.setattr(image_formats, "reads_heic", lambda: False)
    assert image_formats.skip_reason("photo.HEIC") == "HEIC: install kmixer[heic]"
    assert refusal(content) == "HEIC: install kmixer[heic]"


def test_an_image_of_another_aspect_ratio_is_cropped_padded_or_stretched():
    strip = encoded(np.array([[10, 20, 30, 40], [10, 20, 30, 40]], np.uint8), "PNG")
    assert pixels(strip, fit="crop") == [[20, 30], [20, 30]]
    left, right = pixels(strip, fit="stretch")[0]
    assert 10 < left < 25 < right < 40
    red = np.full((2, 4, 3), (200, 40, 40), np.uint8)
    red[:, 1:3] = 0, 0, 255
    padded = np.array(pixels(encoded(red, "PNG"), 3, (4, 4), fit="pad"))
    assert (padded[1:3] == red).all()
    assert (padded[[0, 3]] == (100, 20, 147)).all()  # halfway: half of the border is of each color
    drawing = np.full((8, 4), 255, np.uint8)
    drawing[2:6, 1:3] = 0
    seen = np.array(pixels(encoded(drawing, "PNG"), size=(8, 8), fit="pad"))
    assert (seen[:, [0, 1, 6, 7]] == 255).all()
    assert (seen[:, 2:6] == drawing).all()


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_thin_line_fits_too(fit):
    line = encoded(np.full((1, 500), 9, np.uint8), "PNG")
    assert (np.array(pixels(line, size=(4, 4), fit=fit)) == 9).all()


def test_a_large_jpeg_is_shrunk_while_it_is_decoded_and_looks_the_same(monkeypatch):
    generator = np.random.default_rng(0)
    rough = Image.fromarray(generator.integers(0, 256, (20, 30, 3), np.uint8))
    photo = encoded(rough.resize((600, 400), Image.Resampling.BICUBIC), "JPEG", quality=95)
    shrunk = decode(io.BytesIO(photo), Decoding(32, 32, 3))
    with open_image(io.BytesIO(photo)) as image:
        assert decode_module._shrink_on_decoding(image, Decoding(32, 32, 3)) == 150 * 100
        assert image.size == (150, 100)
    monkeypatch.setattr(decode_module, "_shrink_on_decoding", lambda image, decoding: 1)
    whole = decode(io.BytesIO(photo), Decoding(32, 32, 3))
    difference = abs(shrunk.astype(int) - whole)
    assert difference.mean() < 1 and difference.max() <= 8


def test_a_large_image_is_no_attack_and_a_larger_one_is_called_too_large():
    bits = encoded(Image.new("1", (20_000, 10_000)), "PNG")  # 200 megapixels, as phones have
    assert describe(io.BytesIO(bits)).size == (20_000, 10_000)
    larger = encoded(Image.new("1", (3000, 2000)), "PNG")
    assert refusal(larger, max_pixels=5_000_000) == (
        "too large: 3000×2000 pixels, at most 5,000,000 are read (predict and serve: --max-pixels)"
    )


def test_pillows_switches_are_as_before_when_the_last_thread_is_done():
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    inside, leave = threading.Barrier(2), threading.Event()

    def read():
        with without_pillow_limits():
            inside.wait(60)
            assert leave.wait(60)

    thread = threading.Thread(target=read)
    thread.start()
    with without_pillow_limits():
        inside.wait(60)
    assert Image.MAX_IMAGE_PIXELS is None  # the other one still reads
    leave.set()
    thread.join()
    assert limit == Image.MAX_IMAGE_PIXELS and warnings.filters == filters


def test_only_so_many_pixels_are_decoded_together():
    budget, began, go = PixelBudget(100), threading.Event(), threading.Event()
    taken = []

    def take(pixels):
        with budget.take(pixels):
            taken.append(budget.taken)
            began.set()
            assert go.wait(60)

    first = threading.Thread(target=take, args=(80,))
    first.start()
    assert began.wait(60)
    others = [threading.Thread(target=take, args=(pixels,)) for pixels in (500, 90, 15)]
    for thread in others:
        thread.start()
    go.set()
    for thread in [first, *others]:
        thread.join(60)
    assert budget.taken == 0 and len(taken) == 4
    assert all(pixels <= 100 or pixels == 500 for pixels in taken)
