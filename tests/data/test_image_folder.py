"""Folders of image files as data sets."""

import os

import numpy as np
import pytest
from PIL import Image

from kmixer.data import load
from kmixer.errors import DataError


def test_image_folder(image_folder):
    loaded = load(str(image_folder))
    assert loaded.class_names == ("above", "below")
    assert loaded.train.images.shape == (120, 8, 8, 1)
    assert len(loaded.test) == 40
    assert loaded.train.images[loaded.train.labels == 0][:, :4].mean() > 100


def _save(path, array=None, size=(8, 8), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size, (10, 20, 30)) if array is None else Image.fromarray(array)
    image.save(path, **options)


def _flat(root, count=10):
    for label in ("a", "b"):
        for index in range(count):
            _save(root / label / f"{index}.png")


def test_flat_folder_is_split_by_a_stratified_seeded_rule(tmp_path):
    _flat(tmp_path, 20)
    first, second = load(str(tmp_path)), load(str(tmp_path))
    assert len(first.test) == 6 and np.bincount(first.test.labels).tolist() == [3, 3]
    assert np.array_equal(first.test.images, second.test.images)
    assert "drawn as test set" in " ".join(first.notes)


@pytest.mark.parametrize(("resize_size", "side"), [(None, 8), (8, 8), (6, 6), (12, 8)])
def test_larger_images_are_brought_to_what_the_model_resizes_to(tmp_path, resize_size, side):
    _flat(tmp_path)
    loaded = load(str(tmp_path), resize_size=resize_size)
    assert loaded.image_shape == (side, side, 3)


@pytest.mark.parametrize(("resize_size", "side"), [(None, 224), (250, 250), (400, 300)])
def test_images_that_differ_are_brought_to_their_median_or_it(tmp_path, resize_size, side):
    for index, large in enumerate([300, 301, 302, 299, 298]):
        for label in "ab":
            _save(tmp_path / label / f"{index}.png", size=(large, 310))
    loaded = load(str(tmp_path), resize_size=resize_size)
    assert loaded.image_shape == (side, side, 3)


def test_other_kinds_of_images_are_converted(tmp_path):
    _flat(tmp_path)
    Image.new("CMYK", (8, 8), (0, 0, 0, 255)).save(tmp_path / "a" / "cmyk.jpg")
    Image.new("RGBA", (8, 8), (255, 255, 255, 0)).save(tmp_path / "a" / "alpha.png")
    _save(tmp_path / "a" / "sixteen.png", np.full((8, 8), 65_535, np.uint16))
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a" / "moving.gif", save_all=True, append_images=frames[1:])
    loaded = load(str(tmp_path))
    assert loaded.image_shape == (8, 8, 3)
    assert len(loaded.train) + len(loaded.test) == 24
    assert "1 animated images, first frame used" in " ".join(loaded.notes)


def test_bad_files_are_skipped_counted_and_left_alone(tmp_path):
    _flat(tmp_path)
    whole = (tmp_path / "a" / "0.png").read_bytes()
    (tmp_path / "a" / "cut.png").write_bytes(whole[:50])
    (tmp_path / "a" / "words.png").write_text("no image")
    (tmp_path / "a" / "notes.txt").write_text("no image either")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    loaded = load(str(tmp_path))
    notes = " ".join(loaded.notes)
    assert len(loaded.train) + len(loaded.test) == 20
    assert "1 file skipped (no image suffix (.txt)): a/notes.txt" in notes
    assert "skipped (unreadable or damaged)" in notes
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def _damaged(folder):
    folder.mkdir()
    (folder / "0.png").write_text("no image")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda root: None, "no class folders"),
        (lambda root: _save(root / "a" / "0.png"), "one class only"),
        (
            lambda root: (_flat(root), _damaged(root / "c")),
            "c: no readable images.*damaged .not an image: text",
        ),
        (
            lambda root: (_flat(root / "train"), _save(root / "test" / "c" / "0.png")),
            "classes without training images: 'c'",
        ),
    ],
)
def test_a_folder_nobody_can_learn_from_is_refused(tmp_path, build, message):
    build(tmp_path)
    with pytest.raises(DataError, match=message):
        load(str(tmp_path))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_folder_is_refused(tmp_path):
    _flat(tmp_path)
    (tmp_path / "a").chmod(0)
    with pytest.raises(DataError, match="cannot be read"):
        load(str(tmp_path))


def test_images_of_different_sizes_are_brought_to_the_median(tmp_path):
    _flat(tmp_path)
    _save(tmp_path / "a" / "wide.png", size=(40, 20))
    assert load(str(tmp_path)).image_shape == (8, 8, 3)
    assert load(str(tmp_path), image_size=12).image_shape == (12, 12, 3)
