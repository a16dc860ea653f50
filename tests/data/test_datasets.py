import gzip
import json
import shutil
import socket
import time
import timeit
from pathlib import Path

import numpy as np
import pytest

from kmixer.config.data import DataSettings
from kmixer.data import SOURCES, absolute_name, find_source, load, load_splits, network, tidy_name
from kmixer.data.duplicates import find_duplicates
from kmixer.data.sources import fashion_mnist
from kmixer.data.sources.idx import read_idx
from kmixer.errors import DataError, SettingsError


@pytest.fixture(scope="module")
def fmnist():
    return load("fmnist")


def test_fashion_mnist_is_whole_and_quick():
    shipped = Path(fashion_mnist.__file__).parent
    files = [shipped / name for name in fashion_mnist.SHA256]
    unpacking = timeit.timeit(lambda: [gzip.decompress(p.read_bytes()) for p in files], number=1)
    began = time.perf_counter()
    loaded = load("fmnist")
    assert time.perf_counter() - began < 4 * unpacking + 0.5
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
    split = load(str(image_folder)).with_validation(size)
    assert len(split.validation) == (10 if size == 10 else 30)


@pytest.mark.parametrize("size", [1, 119, 10_000])
def test_a_validation_split_that_cannot_hold_every_class_is_refused(image_folder, size):
    with pytest.raises(SettingsError, match=r"data\.validation_size"):
        load(str(image_folder)).with_validation(size)


def test_each_image_is_in_one_fold(image_folder):
    whole = load(str(image_folder))
    folds = [whole.with_fold(fold, 4) for fold in range(4)]
    held_out = np.concatenate([each.validation.images for each in folds])
    assert len(held_out) == len(whole.train) and all(len(f.train) == 90 for f in folds)
    together = sorted(image.tobytes() for image in held_out)
    assert together == sorted(image.tobytes() for image in whole.train.images)
    for each in folds:
        assert np.bincount(each.validation.labels).tolist() == [15, 15]
    other = whole.with_fold(0, 4, seed=1)
    assert not np.array_equal(other.validation.images, folds[0].validation.images)


def test_the_folds_hold_the_images_of_a_validation_folder(image_folder):
    cut = load(str(image_folder)).with_validation(20)
    fold = cut.with_fold(1, 2)
    assert len(fold.train) == len(fold.validation) == 60 and len(fold.test) == len(cut.test)
    assert fold.notes[-1] == "fold 2 of 2 is the validation split"


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"folds": 1}, "greater than or equal to 2"),
        ({"folds": 3, "fold": 3}, "received 3 of 3 folds, counted from 0"),
        ({"fold": 1}, "received 1 of no folds"),
        ({"folds": 2.5}, "valid integer"),
        ({"folds": 3, "fold": -1}, "greater than or equal to 0"),
    ],
)
def test_folds_that_cannot_be(values, problem):
    with pytest.raises(ValueError, match=problem):
        DataSettings(**values)


def test_more_folds_than_images_of_a_class_are_refused(image_folder):
    settings = DataSettings(name=str(image_folder), folds=61)
    with pytest.raises(SettingsError, match=r"data\.folds: received 61, .* the 60 images of"):
        load_splits(settings)


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


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(SettingsError, match="nearest: 'fmnist'"):
        load("fmist")
    with pytest.raises(SettingsError, match="received null, expected a data set"):
        load(None)


@pytest.mark.parametrize(
    ("name", "label"),
    [("fmnist", "fmnist"), ("cifar10", "cifar10"), ("tfds:mnist", "tfds:NAME"), (".", "FOLDER")],
)
def test_each_name_belongs_to_one_source(name, label):
    assert find_source(name).label == label
    assert [source.label for source in SOURCES if source.accepts(name)] == [label]


def test_a_source_knows_the_shape_of_its_images(fmnist):
    source = find_source("fmnist")
    assert (source.image_shape, source.classes) == (fmnist.image_shape, len(fmnist.class_names))
    assert all(bool(s.image_shape) == s.has_fixed_name == bool(s.classes) for s in SOURCES)


def test_a_folders_name_is_tidied_and_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "mnist"):
        (tmp_path / name).mkdir()
    assert tidy_name("photos/") == tidy_name("./photos") == "photos"
    assert absolute_name("photos/") == str(tmp_path / "photos")
    for name in ("mnist", "tfds:mnist/3.0.1", "no-such-thing/"):
        assert tidy_name(name) == name
    assert absolute_name("mnist") == "mnist" and absolute_name("tfds:a") == "tfds:a"
    assert tidy_name("./mnist") == "./mnist"  # the folder: "mnist" is another data set
    assert absolute_name("./mnist") == str(tmp_path / "mnist")


def test_the_command_lists_all_sources(run_command):
    listed = run_command("data", "list").stdout.splitlines()
    assert [line.split()[0] for line in listed] == [source.label for source in SOURCES]
    names = json.loads(run_command("data", "list", "--json").stdout)["datasets"]
    assert list(names) == ["fmnist", "mnist", "cifar10", "cifar100", "cifar100-coarse"]


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
    time.sleep(100)
    raise TimeoutError


@pytest.mark.parametrize("connect", [_refuse, _swallow])
def test_tfds_without_a_network_says_so_at_once(tmp_path, monkeypatch, connect):
    assert network.PROBE_SECONDS < 15
    monkeypatch.setattr(network, "PROBE_SECONDS", 0.2)
    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    began = time.perf_counter()
    with pytest.raises(DataError) as caught:
        load("mnist", folder=tmp_path)
    assert time.perf_counter() - began < 60  # as long as a host that swallows everything is silent
    message = str(caught.value)
    assert "tfds:mnist" in message and str(tmp_path) in message and "--data-dir" in message
    assert "\n" not in message


def test_tfds_unknown_name(tmp_path):
    with pytest.raises(DataError, match=r"tfds:mnits: no such data set \(nearest: .*'mnist'"):
        load("tfds:mnits", folder=tmp_path)


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
    loaded = load("tfds:fashion_mnist", folder=tmp_path)
    assert loaded.train.images.shape == (300, 28, 28, 1)
    assert loaded.class_names == fashion_mnist.CLASS_NAMES
    assert np.array_equal(np.unique(loaded.train.labels), np.arange(10))
    assert len(loaded.test) == 100


@pytest.mark.whole
def test_tfds_images_that_differ_are_cropped_not_squashed(tmp_path):
    from oblong_tfds import Oblong

    Oblong(data_dir=tmp_path).download_and_prepare()
    with pytest.raises(DataError, match="differ in size; give one with --image-size"):
        load("tfds:oblong", tmp_path)
    for size in ({"image_size": 8}, {"resize_size": 8}):
        images = load("tfds:oblong", tmp_path, **size).train.images
        assert images.shape == (20, 8, 8, 3) and (images[:, :, 1:-1] == 255).all()
    wanted = DataSettings(name="tfds:oblong", dir=str(tmp_path), resize_size=12)
    assert load_splits(wanted).image_shape == (12, 12, 3)


def test_some_classes_only_in_the_order_given(fmnist):
    whole = fmnist
    few = whole.with_classes(["Bag", "Trouser"])
    assert few.class_names == ("Bag", "Trouser")
    assert len(few.train) == 12_000 and len(few.test) == 2_000
    bags = whole.train.images[whole.train.labels == 8]
    assert np.array_equal(few.train.images[few.train.labels == 0], bags)


def test_some_training_images_of_each_class(fmnist):
    whole = fmnist.with_classes(["Bag", "Trouser", "Coat"]).with_validation()
    few = whole.with_train_per_class(50, seed=3)
    assert np.bincount(few.train.labels).tolist() == [50] * 3
    assert len(few.validation) == len(whole.validation)
    chosen = {"classes": ["Bag", "Trouser", "Coat"], "train_per_class": 50, "split_seed": 3}
    loaded = load_splits(DataSettings(name="fmnist", **chosen))
    cut = fmnist.with_classes(chosen["classes"]).with_validation(None, 3)
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
def test_classes_and_images_that_are_not_there(fmnist, change, message):
    with pytest.raises(SettingsError, match=message):
        change(fmnist)
