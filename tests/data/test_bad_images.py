"""Images that are none, or far too much: skipped and counted, at no cost of memory."""

import io
import struct
import zlib
from hashlib import sha256

import keras
import numpy as np
import pytest
from PIL import Image

from kmixer.data import load
from subprocess_usage import kmixer

if keras.backend.backend() != "tensorflow":
    pytest.skip("images are read before Keras", allow_module_level=True)

SIDE = 20_000
CUTS = 10
MOST_MEGABYTES = 300
PHOTOSHOP = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 64, 64, 8, 3) + bytes(14 + 3 * 64 * 64)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def bomb(channels):
    """Return a whole PNG of 20,000 × 20,000 black pixels, half a megabyte or so."""
    packer = zlib.compressobj(1)
    rows = bytes(100 * (1 + SIDE * channels))
    packed = b"".join([packer.compress(rows) for _ in range(SIDE // 100)] + [packer.flush()])
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, {1: 0, 3: 2}[channels], 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b""))  # fmt: skip


def jpeg():
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def good_images(folder):
    """Write two classes of ten images."""
    for label in "ab":
        (folder / label).mkdir(parents=True)
        for number in range(10):
            pixels = np.full((64, 64, 3), 100 + number, np.uint8)
            Image.fromarray(pixels).save(folder / label / f"good-{number}.png")
    return folder


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return good_images(tmp_path_factory.mktemp("good") / "photos")


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """The same, with thirteen bad ones among them."""
    folder = good_images(tmp_path_factory.mktemp("bad") / "photos")
    content = jpeg()
    for number in range(CUTS):
        cut = content[: len(content) * (number + 1) // (CUTS + 1)]
        (folder / "a" / f"cut-{number}.jpg").write_bytes(cut)
    (folder / "b" / "bomb-gray.png").write_bytes(bomb(1))
    (folder / "b" / "bomb-rgb.png").write_bytes(bomb(3))
    (folder / "b" / "photoshop.png").write_bytes(PHOTOSHOP)
    return folder


def fingerprint(folder):
    return {path: (path.stat().st_mtime_ns, path.is_file() and sha256(path.read_bytes()).digest())
            for path in folder.rglob("*")}  # fmt: skip


def skipped(notes):
    return sum(int(note.split()[0]) for note in notes if "skipped (unreadable or damaged)" in note)


def test_bad_images_are_skipped_counted_and_left_alone(bad):
    before = fingerprint(bad)
    loaded = load(str(bad))
    assert len(loaded.train) + len(loaded.test) == 20
    assert skipped(loaded.notes) == CUTS + 3
    assert fingerprint(bad) == before


def test_bad_images_fill_no_memory(good, bad, tmp_path, saw):
    before = fingerprint(bad)
    words = ("data", "info", "--no-duplicates")
    with_good, with_bad = (
        kmixer([*words, str(folder)], tmp_path) for folder in (good, bad)
    )  # fmt: skip
    assert with_good.code == with_bad.code == 0, with_bad.stderr
    more = with_bad.megabytes - with_good.megabytes
    assert more < MOST_MEGABYTES
    assert fingerprint(bad) == before
    saw(
        "images",
        f"{CUTS + 3} of {CUTS + 3} skipped and counted, {max(more, 0):.0f} MB more in memory",
    )


def test_a_pixel_that_is_no_number_is_skipped_and_counted(run_command, tmp_path, saw):
    folder = good_images(tmp_path / "photos")
    pixels = np.full((64, 64), 0.5, np.float32)
    Image.fromarray(pixels).save(folder / "a" / "float.tif")
    for name, value in (("nan.tif", np.nan), ("infinite.tif", np.inf)):
        spoilt = pixels.copy()
        spoilt[3, 5] = value
        Image.fromarray(spoilt).save(folder / "b" / name)
    loaded = load(str(folder))
    assert len(loaded.train) + len(loaded.test) == 21
    assert (
        "2 images skipped (unreadable or damaged): b/infinite.tif, b/nan.tif (the first: it has"
        " pixels that are not finite numbers (NaN or infinite))" in loaded.notes
    )
    assert [file.path for file in loaded.skipped] == ["b/infinite.tif", "b/nan.tif"]
    assert all("not finite numbers (NaN or infinite)" in file.reason for file in loaded.skipped)
    done = run_command("data", "info", folder, cwd=tmp_path)
    assert done.returncode == 0 and "2 images skipped" in done.stdout
    saw("nan pixel", "2 of 2 skipped and counted; no step sees one")


def test_predict_names_the_file_with_such_a_pixel(trained_run, run_command, tmp_path):
    Image.fromarray(np.full((8, 8), np.nan, np.float32)).save(tmp_path / "nan.tif")
    done = run_command("predict", trained_run.folder, "nan.tif", "--strict", cwd=tmp_path)
    assert done.returncode == 1
    assert "nan.tif: damaged image: it has pixels that are not finite" in done.stderr
