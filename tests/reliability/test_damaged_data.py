"""A flipped byte in data is noticed before the first step, or changes nothing; half is never whole."""

import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from cifar_archives import shrink
from kmixer.data import load
from kmixer.data.sources import cifar, fashion_mnist, tfds
from kmixer.data.sources.cifar import cifar10
from kmixer.errors import DataError

if keras.backend.backend() != "tensorflow":
    pytest.skip("data are read before Keras", allow_module_level=True)

SHIPPED = Path(fashion_mnist.__file__).parent
FILES = sorted(fashion_mnist.SHA256)
CIFAR_IN_BATCH = 20


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << (position % 8)
    path.write_bytes(content)


def positions(size, count):
    """Return so many positions of a file: its first and last bytes, and a spread between."""
    return sorted({*range(min(count // 3, size)), *range(max(size - count // 3, 0), size),
                   *np.linspace(0, size - 1, count // 3, dtype=int).tolist()})  # fmt: skip


def noticed(load, same):
    """Say whether loading is refused; where it is not, what was loaded has to be the same."""
    try:
        loaded = load()
    except DataError as error:
        assert "\n" not in str(error)
        return True
    assert same(loaded)
    return False


def flips_of_a_shipped_file(name, folder, count):
    """Return (flips, those noticed); the others are in what says when and where it was packed."""
    whole = fashion_mnist.read_idx(SHIPPED / name, fashion_mnist.SHA256[name])
    found = []
    for position in positions((SHIPPED / name).stat().st_size, count):
        shutil.copyfile(SHIPPED / name, folder / name)
        flip(folder / name, position)
        found.append(noticed(
            lambda: fashion_mnist.read_idx(folder / name, fashion_mnist.SHA256[name]),
            lambda loaded: np.array_equal(loaded, whole),
        ))  # fmt: skip
    return len(found), sum(found)


@pytest.fixture
def prepared_cifar(tmp_path, monkeypatch):
    """CIFAR-10 as `kmixer data import` keeps it, of few images."""
    shrink(CIFAR_IN_BATCH, monkeypatch)
    generator, arrays = np.random.default_rng(0), {}
    for split, batches in cifar.CIFAR10.batches.items():
        count = CIFAR_IN_BATCH * len(batches)
        arrays[f"{split}_images"] = generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count) % 10).astype(np.int32)
    np.savez(cifar10.imported_file(tmp_path), **arrays)
    return tmp_path


def flips_of_cifar(folder, count):
    path = cifar10.imported_file(folder)
    whole, content, found = cifar10.load(folder).fingerprint(), path.read_bytes(), []
    for position in positions(len(content), count):
        path.write_bytes(content)
        flip(path, position)
        found.append(
            noticed(lambda: cifar10.load(folder), lambda loaded: loaded.fingerprint() == whole)
        )
    return len(found), sum(found)


@pytest.fixture(scope="session")
def prepared_by_tfds(tmp_path_factory):
    """A data set that kmixer has prepared with TensorFlow Datasets, of few images."""
    import tensorflow_datasets

    class Prepared(tensorflow_datasets.image_classification.FashionMNIST, skip_registration=True):
        """Fashion-MNIST from the shipped files."""

        name = "fashion_mnist"
        URL = SHIPPED.as_uri() + "/"

        def _split_generators(self, dl_manager):
            return {"train": self._few("train", 60), "test": self._few("t10k", 20)}

        def _few(self, prefix, count):
            images = fashion_mnist.read_idx(SHIPPED / f"{prefix}-images-idx3-ubyte.gz")[:count]
            labels = fashion_mnist.read_idx(SHIPPED / f"{prefix}-labels-idx1-ubyte.gz")[:count]
            for index, (image, label) in enumerate(zip(images, labels, strict=True)):
                yield index, {"image": image[..., None], "label": int(label)}

    folder = tmp_path_factory.mktemp("tfds")
    tfds._prepare(Prepared(data_dir=folder), "fashion_mnist", folder)
    return folder


def flips_of_tfds(whole, folder, count):
    """Flip bytes of every file of a prepared data set, one at a time."""
    fingerprint, found = load("tfds:fashion_mnist", whole).fingerprint(), []
    shutil.copytree(whole, folder)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        for position in positions(len(content), count):
            flip(path, position)
            found.append(noticed(lambda: load("tfds:fashion_mnist", folder),
                                 lambda loaded: loaded.fingerprint() == fingerprint))  # fmt: skip
            path.write_bytes(content)
    return len(found), sum(found)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_in_a_shipped_file_is_noticed(name, tmp_path):
    flips, seen = flips_of_a_shipped_file(name, tmp_path, 12)
    assert flips - seen <= 6  # the packer's time, flags and system


def test_a_flipped_byte_in_imported_data_is_noticed(prepared_cifar):
    flips, seen = flips_of_cifar(prepared_cifar, 120)
    assert seen > flips / 2


def test_a_flipped_byte_in_prepared_data_is_noticed(prepared_by_tfds, tmp_path):
    flips, seen = flips_of_tfds(prepared_by_tfds, tmp_path / "copy", 3)
    assert flips == seen


def test_a_flipped_record_is_noticed_without_kmixers_checksums_too(prepared_by_tfds, tmp_path):
    folder = shutil.copytree(prepared_by_tfds, tmp_path / "copy")
    next(folder.rglob(tfds.CHECKSUMS)).unlink()
    record = next(folder.rglob("*train*tfrecord*"))
    flip(record, record.stat().st_size // 2)
    with pytest.raises(DataError, match=r"tfds:fashion_mnist: damaged in .*; remove that folder"):
        load("tfds:fashion_mnist", folder)


def test_training_does_not_begin_on_damaged_data(tmp_path, monkeypatch, capsys):
    from kmixer_cli.main import main

    folder = shutil.copytree(SHIPPED, tmp_path / "shipped")
    size = (folder / FILES[-1]).stat().st_size
    flip(folder / FILES[-1], size // 2)
    monkeypatch.setattr(fashion_mnist.resources, "files", lambda package: folder)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["train", "fmnist", "--epochs", "1"])
    assert ended.value.code == 1 and FILES[-1] in capsys.readouterr().err
    assert not (tmp_path / "saved_models").exists()


def test_an_import_that_is_interrupted_leaves_nothing(tmp_path, prepared_cifar, monkeypatch):
    """What was there stays; what a killed import left beside it is not taken for it."""
    whole = cifar10.imported_file(prepared_cifar).read_bytes()

    def killed(temporary, **arrays):
        Path(temporary).write_bytes(whole[: len(whole) // 2])
        raise KeyboardInterrupt

    read = np.zeros((20, 3072), np.uint8), {"labels": np.zeros(20, np.uint8)}
    monkeypatch.setattr(cifar, "read_archive", lambda *given: {"train": read, "test": read})
    monkeypatch.setattr(cifar.np, "savez", killed)
    with pytest.raises(KeyboardInterrupt):
        cifar10.import_archive(tmp_path / "archive.tar.gz", tmp_path)
    assert os.listdir(tmp_path) == ["kmixer-cifar10.npz"]
    assert cifar10.imported_file(tmp_path).read_bytes() == whole


def test_a_preparation_that_was_interrupted_is_not_taken_for_a_whole_one(
    prepared_by_tfds, tmp_path, monkeypatch
):
    """It lies in a folder of another name, or lacks what is written last."""
    monkeypatch.setattr(tfds, "is_reachable", lambda host: False)
    for number, change in enumerate((_unfinished, _without_description, _without_a_shard)):
        folder = shutil.copytree(prepared_by_tfds, tmp_path / str(number))
        change(next(folder.rglob("dataset_info.json")).parent)
        with pytest.raises(DataError, match="tfds:fashion_mnist: "):
            load("tfds:fashion_mnist", folder)


def _unfinished(folder):
    folder.rename(folder.with_name(f"{folder.name}.incompleteABCDEF"))


def _without_description(folder):
    (folder / "dataset_info.json").unlink()


def _without_a_shard(folder):
    next(folder.glob("*train*tfrecord*")).unlink()
    (folder / tfds.CHECKSUMS).unlink()


@pytest.mark.torture
def test_many_flipped_bytes(prepared_by_tfds, prepared_cifar, tmp_path, saw):
    counts = [flips_of_a_shipped_file(name, tmp_path, 90) for name in FILES]
    counts += [
        flips_of_cifar(prepared_cifar, 600),
        flips_of_tfds(prepared_by_tfds, tmp_path / "copy", 30),
    ]
    flips, seen = map(sum, zip(*counts, strict=True))
    saw("damaged data", f"{flips:,} flipped bytes: {seen:,} refused, {flips - seen:,} in what says nothing"
        " of the images (when and where it was packed), 0 taken for data")  # fmt: skip
