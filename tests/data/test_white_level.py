"""One white level for a folder, the same pixels everywhere, and the level that a run records."""

import dataclasses
import io

import keras
import numpy as np
import pytest
from PIL import Image

from kmixer.data import load
from kmixer.data.image_files import read_images
from kmixer.data.white_level import common_white_level

if keras.backend.backend() != "tensorflow":
    pytest.skip("images are read before Keras", allow_module_level=True)


def write(folder, brightest, kind=np.uint16, count=12, suffix="png"):
    """Write two classes of images, each with levels from 0 to about its number of `brightest`."""
    folder.mkdir(exist_ok=True)
    for label in "ab":
        (folder / label).mkdir(exist_ok=True)
        for number in range(count):
            top = brightest[number % len(brightest)]
            levels = np.linspace(0, top, 256).reshape(16, 16).astype(kind)
            Image.fromarray(levels).save(folder / label / f"{suffix}-{number:02}.{suffix}")
    return sorted(folder.rglob(f"*.{suffix}"))


@pytest.mark.parametrize(
    ("brightest", "kind", "white"),
    [
        ([4095], np.uint16, 4095),
        ([4095, 300, 20], np.uint16, 4095),  # dark ones are not brightened
        ([255], np.uint16, 255),
        ([1000], np.uint16, 1023),
        ([16_000], np.uint16, 16_383),
        ([65_535, 900], np.uint16, 65_535),
        ([1], np.float32, 1),
        ([0.2], np.float32, 1),
        ([255, 0.5], np.float32, 255),
        ([100_000], np.int32, 100_000),
    ],
)
def test_white_is_one_level_for_the_folder(tmp_path, brightest, kind, white):
    suffix = "png" if kind == np.uint16 else "tif"
    paths = write(tmp_path / "photos", brightest, kind, suffix=suffix)
    level, (note,) = common_white_level(paths)
    assert level == pytest.approx(white, rel=0.01)
    name = "float" if kind == np.float32 else "16-bit"
    assert note.startswith(f"24 {name} images: levels 0..{level:,g} become 0..255 (white_level)")


def test_a_folder_without_such_images_has_none(tmp_path):
    assert common_white_level(write(tmp_path / "photos", [255], np.uint8)) == (None, [])
    assert common_white_level([]) == (None, [])


def test_levels_below_black_and_mixed_scales_are_said(tmp_path):
    paths = write(tmp_path / "photos", [1], np.float32, suffix="tif")
    Image.fromarray(np.linspace(-1, 1, 256, dtype=np.float32).reshape(16, 16)).save(paths[0])
    level, notes = common_white_level(paths)
    assert level == 1
    assert notes[1] == "1 of 24 such images have levels below 0 (to -1), which become black"
    paths += write(tmp_path / "photos", [4095], suffix="png")
    level, notes = common_white_level(paths)
    assert level is None
    assert notes[1] == (
        "16-bit (white: 4,095) and float (white: 1) images are mixed: the white of each is judged"
        " by itself"
    )


def test_a_folder_of_thousands_is_sampled(tmp_path, monkeypatch):
    from kmixer.data import white_level

    asked = []
    monkeypatch.setattr(white_level, "_sample_file", asked.append)
    common_white_level(list(range(5000)))
    assert len(asked) == 200 and {0, 4999} <= set(asked)


def test_folder_predict_and_server_see_the_same_pixels(tmp_path):
    from kmixer.serving import protocol

    paths = write(tmp_path / "photos", [4095, 300])
    Image.new("LA", (16, 16), (0, 0)).save(paths[0])  # a clear one
    dataset = load(str(tmp_path / "photos"), fit="pad", image_size=(12, 16))
    assert dataset.decoding.white_level == 4095 and dataset.decoding.fit == "pad"
    split = dataset.train
    files = [tmp_path / "photos" / file for file in split.files]
    predicted = read_images(files, dataset.decoding)
    served = [protocol.read_file(file.read_bytes(), dataset.decoding) for file in files]
    np.testing.assert_array_equal(split.images, np.stack(predicted))
    np.testing.assert_array_equal(split.images, np.stack(served))
    dark = [image.max() for file, image in zip(files, predicted, strict=True) if int(file.stem[-2:]) % 2]  # fmt: skip
    assert set(dark) == {18}  # 300 of 4,095 are 18.7 of 255; shrinking takes the mean of two


def test_the_run_records_how_its_images_were_decoded(tmp_path):
    from kmixer import build_settings
    from kmixer.data import load_splits
    from kmixer.training.resolve import resolve

    write(tmp_path / "photos", [4095])
    data = {"name": str(tmp_path / "photos"), "fit": "stretch"}
    settings = build_settings({"data": data, "model": {"patch_size": 4}})
    dataset = load_splits(settings.data)
    resolved = resolve(settings, dataset).data
    assert (resolved.white_level, resolved.channels, resolved.fit) == (4095, 1, "stretch")
    again = load_splits(resolved)
    np.testing.assert_array_equal(again.train.images, dataset.train.images)
    assert dataclasses.replace(again.decoding, max_pixels=0) == dataclasses.replace(
        dataset.decoding, max_pixels=0
    )


def test_a_misnamed_file_is_read_and_said(tmp_path):
    write(tmp_path / "photos", [255], np.uint8)
    buffer = io.BytesIO()
    Image.new("L", (16, 16), 9).save(buffer, "JPEG")
    (tmp_path / "photos" / "a" / "photo.png").write_bytes(buffer.getvalue())
    dataset = load(str(tmp_path / "photos"))
    assert "1 files named .png, holds JPEG: read as what they hold" in dataset.notes
