import gzip
import os
import shutil
import socket
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kmixer import datasets
from kmixer.config.data import DataSettings
from kmixer.datasets import fashion_mnist
from kmixer.datasets.duplicates import find_duplicates
from kmixer.datasets.idx import read_idx
from kmixer.errors import DataError, SettingsError


@pytest.fixture(scope="module")
def fmnist():
    return datasets.load("fmnist")


def test_fashion_mnist_is_whole_and_quick():
    began = time.perf_counter()
    loaded = datasets.load("fmnist")
    assert time.perf_counter() - began < 2
    assert loaded.train.images.shape == (60_000, 28, 28, 1)
    assert loaded.test.images.shape == (10_000, 28, 28, 1)
    assert loaded.train.images.dtype == np.uint8
    assert set(np.bincount(loaded.train.labels)) == {6000}
    assert loaded.class_names[9] == "Ankle boot" and loaded.train.labels[0] == 9


def test_validation_is_stratified_seeded_and_cut_from_training(fmnist):
    split = fmnist.with_validation()
    assert (len(split.train), len(split.validation), len(split.test)) == (55_000, 5_000, 10_000)
    assert set(np.bincount(split.validation.labels)) == {500}
    again, other = fmnist.with_validation(seed=0), fmnist.with_validation(seed=1)
    assert np.array_equal(again.validation.images, split.validation.images)
    assert not np.array_equal(other.validation.images, split.validation.images)
    whole = np.concatenate([split.train.images, split.validation.images]).reshape(60_000, -1)
    assert whole.astype(np.int64).sum() == fmnist.train.images.astype(np.int64).sum()


@pytest.mark.parametrize("size", [10, 0.25])
def test_validation_size_is_a_number_or_a_share(image_folder, size):
    split = datasets.load(str(image_folder)).with_validation(size)
    assert len(split.validation) == (10 if size == 10 else 30)


@pytest.mark.parametrize("size", [1, 119, 10_000])
def test_a_validation_split_that_cannot_hold_every_class_is_refused(image_folder, size):
    with pytest.raises(SettingsError, match=r"data\.validation_size"):
        datasets.load(str(image_folder)).with_validation(size)


def _idx(path, content):
    path.write_bytes(gzip.compress(content))
    return path


def test_idx_reads_shape_and_bytes(tmp_path):
    content = b"\0\0\x08\x02" + (2).to_bytes(4, "big") + (3).to_bytes(4, "big") + bytes(range(6))
    assert read_idx(_idx(tmp_path / "a.gz", content)).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0\0\x09\x01\0\0\0\x01\0", "not an IDX file"),
        (b"", "not an IDX file"),
        (b"\0\0\x08\x02\0\0\0\x01", "ends inside its header"),
        (b"\0\0\x08\x01\0\0\0\x05\0\0", r"needs 5 bytes, received 2"),
    ],
)
def test_idx_says_what_is_wrong(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read_idx(_idx(tmp_path / "a.gz", content))


def test_damaged_or_foreign_fashion_mnist_is_refused(tmp_path):
    shipped = Path(fashion_mnist.__file__).parent
    for name in fashion_mnist.SHA256:
        shutil.copy(shipped / name, tmp_path / name)
    name = "t10k-labels-idx1-ubyte.gz"
    whole = (shipped / name).read_bytes()
    swapped = bytearray(gzip.decompress(whole))
    swapped[-1] ^= 1
    cut, flipped = whole[: len(whole) // 2], gzip.compress(bytes(swapped))
    for content, message in (
        (cut, "damaged gzip"),
        (flipped, "SHA-256"),
        (b"no", "cannot be read"),
    ):
        (tmp_path / name).unlink()
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message):
            fashion_mnist.load(tmp_path)


def test_image_folder(image_folder):
    loaded = datasets.load(str(image_folder))
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
    first, second = datasets.load(str(tmp_path)), datasets.load(str(tmp_path))
    assert len(first.test) == 6 and np.bincount(first.test.labels).tolist() == [3, 3]
    assert np.array_equal(first.test.images, second.test.images)
    assert "drawn as test set" in " ".join(first.notes)


def test_other_kinds_of_images_are_converted(tmp_path):
    _flat(tmp_path)
    Image.new("CMYK", (8, 8), (0, 0, 0, 255)).save(tmp_path / "a" / "cmyk.jpg")
    Image.new("RGBA", (8, 8), (255, 255, 255, 0)).save(tmp_path / "a" / "alpha.png")
    _save(tmp_path / "a" / "sixteen.png", np.full((8, 8), 65_535, np.uint16))
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a" / "moving.gif", save_all=True, append_images=frames[1:])
    loaded = datasets.load(str(tmp_path))
    assert loaded.image_shape == (8, 8, 3)
    assert len(loaded.train) + len(loaded.test) == 24
    assert "1 animated images, first frame used" in " ".join(loaded.notes)


def test_sixteen_bit_and_transparent_pixels(tmp_path):
    from kmixer.datasets.decode import decode

    _save(tmp_path / "sixteen.png", np.full((4, 4), 0x8080, np.uint16))
    assert (decode(tmp_path / "sixteen.png", 4, grey=True) == 0x80).all()
    Image.new("RGBA", (4, 4), (255, 255, 255, 0)).save(tmp_path / "clear.png")
    assert (decode(tmp_path / "clear.png", 4, grey=False) == 0).all()


def test_exif_orientation_is_applied(tmp_path):
    from kmixer.datasets.decode import decode

    pixels = np.zeros((4, 4), np.uint8)
    pixels[0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned a quarter clockwise: the top row becomes the right column
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    assert decode(tmp_path / "turned.png", 4, grey=True)[:, 3, 0].tolist() == [255] * 4


def test_bad_files_are_skipped_counted_and_left_alone(tmp_path):
    _flat(tmp_path)
    whole = (tmp_path / "a" / "0.png").read_bytes()
    (tmp_path / "a" / "cut.png").write_bytes(whole[:50])
    (tmp_path / "a" / "words.png").write_text("no image")
    (tmp_path / "a" / "notes.txt").write_text("no image either")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    loaded = datasets.load(str(tmp_path))
    notes = " ".join(loaded.notes)
    assert len(loaded.train) + len(loaded.test) == 20
    assert "1 files skipped (no image suffix)" in notes
    assert "skipped (unreadable or damaged)" in notes
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda root: None, "no class folders"),
        (lambda root: _save(root / "a" / "0.png"), "one class only"),
        (lambda root: (_flat(root), (root / "c").mkdir()), "no readable images"),
        (lambda root: (_flat(root / "train"), _save(root / "test" / "c" / "0.png")), "differ"),
    ],
)
def test_a_folder_nobody_can_learn_from_is_refused(tmp_path, build, message):
    build(tmp_path)
    with pytest.raises(DataError, match=message):
        datasets.load(str(tmp_path))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_folder_is_refused(tmp_path):
    _flat(tmp_path)
    (tmp_path / "a").chmod(0)
    with pytest.raises(DataError, match="cannot be read"):
        datasets.load(str(tmp_path))


def test_images_of_different_sizes_are_brought_to_the_median(tmp_path):
    _flat(tmp_path)
    _save(tmp_path / "a" / "wide.png", size=(40, 20))
    assert datasets.load(str(tmp_path)).image_shape == (8, 8, 3)
    assert datasets.load(str(tmp_path), image_size=12).image_shape == (12, 12, 3)


def test_train_and_val_folders_are_training_and_test(tmp_path):
    _flat(tmp_path / "train")
    _flat(tmp_path / "val", 5)
    loaded = datasets.load(str(tmp_path))
    assert loaded.class_names == ("a", "b") and len(loaded.train) == 20 and len(loaded.test) == 10
    assert "val/ is the test set" in " ".join(loaded.notes)


def test_sixteen_bit_and_float_images_are_scaled_to_eight_bits(tmp_path):
    from kmixer.datasets.decode import decode

    for name, pixels, expected in (
        ("a.tif", np.full((4, 4), 0.7, np.float32), 178),
        ("b.tif", np.full((4, 4), 200, np.int32), 200),
        ("c.png", np.full((4, 4), 200, np.uint16), 0),
    ):
        _save(tmp_path / name, pixels)
        assert (decode(tmp_path / name, 4, grey=True) == expected).all(), name


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(SettingsError, match="nearest: 'fmnist'"):
        datasets.load("fmist")


def test_duplicates_are_counted():
    generator = np.random.default_rng(0)
    train = generator.integers(0, 256, (50, 16, 16, 1), dtype=np.uint8)
    test = generator.integers(0, 256, (20, 16, 16, 1), dtype=np.uint8)
    test[0] = train[0]  # exact, across
    train[2] = train[1]  # exact, within
    test[1] = np.minimum(train[3].astype(int) + 3, 255).astype(np.uint8)  # near, across
    found = find_duplicates(train, test)
    assert (found.exact, found.exact_across, found.near, found.near_across) == (2, 1, 1, 1)
    assert found.pairs.tolist() == [[3, 51]]


def _refuse(*arguments, **options):
    raise ConnectionRefusedError


def _swallow(*arguments, **options):
    time.sleep(60)


@pytest.mark.parametrize("connect", [_refuse, _swallow])
def test_tfds_without_a_network_says_so_at_once(tmp_path, monkeypatch, connect):
    monkeypatch.setattr(socket, "create_connection", connect)
    began = time.perf_counter()
    with pytest.raises(DataError) as caught:
        datasets.load("mnist", folder=tmp_path)
    assert time.perf_counter() - began < 15
    message = str(caught.value)
    assert "tfds:mnist" in message and str(tmp_path) in message and "--data-dir" in message
    assert "\n" not in message


def test_tfds_unknown_name(tmp_path):
    with pytest.raises(DataError, match=r"tfds:mnits: no such data set \(nearest: .*'mnist'"):
        datasets.load("tfds:mnits", folder=tmp_path)


def test_tfds_prepared_data_are_read(tmp_path):
    import tensorflow_datasets as tfds

    shipped = Path(fashion_mnist.__file__).parent

    class Prepared(tfds.image_classification.FashionMNIST, skip_registration=True):
        """Fashion-MNIST from the shipped files, as TFDS would have prepared it."""

        name = "fashion_mnist"
        URL = shipped.as_uri() + "/"

        def _split_generators(self, dl_manager):
            return {
                "train": self._few("train", 300),
                "test": self._few("t10k", 100),
            }

        def _few(self, prefix, count):
            images = read_idx(shipped / f"{prefix}-images-idx3-ubyte.gz")[:count]
            labels = read_idx(shipped / f"{prefix}-labels-idx1-ubyte.gz")[:count]
            for index, (image, label) in enumerate(zip(images, labels, strict=True)):
                yield index, {"image": image[..., None], "label": int(label)}

    Prepared(data_dir=tmp_path).download_and_prepare()
    loaded = datasets.load("tfds:fashion_mnist", folder=tmp_path)
    assert loaded.train.images.shape == (300, 28, 28, 1)
    assert loaded.class_names == fashion_mnist.CLASS_NAMES
    assert np.array_equal(np.unique(loaded.train.labels), np.arange(10))
    assert len(loaded.test) == 100


def test_some_classes_only_in_the_order_given():
    whole = datasets.load("fmnist")
    few = whole.with_classes(["Bag", "Trouser"])
    assert few.class_names == ("Bag", "Trouser")
    assert len(few.train) == 12_000 and len(few.test) == 2_000
    bags = whole.train.images[whole.train.labels == 8]
    assert np.array_equal(few.train.images[few.train.labels == 0], bags)


def test_some_training_images_of_each_class():
    whole = datasets.load("fmnist").with_classes(["Bag", "Trouser", "Coat"]).with_validation()
    few = whole.with_train_per_class(50, seed=3)
    assert np.bincount(few.train.labels).tolist() == [50] * 3
    assert len(few.validation) == len(whole.validation)
    chosen = {"classes": ["Bag", "Trouser", "Coat"], "train_per_class": 50, "split_seed": 3}
    loaded = datasets.load_splits(DataSettings(name="fmnist", **chosen))
    cut = datasets.load("fmnist").with_classes(chosen["classes"]).with_validation(None, 3)
    assert np.array_equal(loaded.train.images, cut.with_train_per_class(50, 3).train.images)
    again, other = (whole.with_train_per_class(50, seed=seed) for seed in (3, 4))
    assert np.array_equal(few.train.images, again.train.images)
    assert not np.array_equal(few.train.images, other.train.images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.with_classes(["Bagg", "Coat"]), "data.classes: received 'Bagg'.*nearest: 'Bag'"),
        (lambda d: d.with_classes(["Bag"]), "two or more"),
        (lambda d: d.with_classes(["Bag", "Bag"]), "each once"),
        (lambda d: d.with_train_per_class(6001), "received 6001, expected at most the 6000"),
    ],
)  # fmt: skip
def test_classes_and_images_that_are_not_there(change, message):
    with pytest.raises(SettingsError, match=message):
        change(datasets.load("fmnist"))
