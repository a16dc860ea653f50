"""CIFAR-10 and CIFAR-100 from archives in the official layouts, written here."""

import io

import numpy as np
import pytest

from cifar_archives import NAMES, PythonTwo, content, shrink, write
from kmixer.data import load
from kmixer.data.sources.cifar import CIFAR100, cifar10, cifar100
from kmixer.errors import DataError, SettingsError

FORMATS = ["binary", "python"]


@pytest.mark.filterwarnings("error::DeprecationWarning", "error::UserWarning")  # NumPy's
@pytest.mark.parametrize("layout", FORMATS)
def test_an_imported_archive_loads_under_its_name(layout, tmp_path, monkeypatch):
    shrink(200, monkeypatch)
    members = {name: content(number, layout) for number, name in enumerate(NAMES)}
    archive = write(tmp_path / "any.tar.gz", layout, members, monkeypatch)
    seen = []
    cifar10.import_archive(archive, tmp_path, lambda *done: seen.append(done))
    assert seen[-1] == (6, 6)
    dataset = load("cifar10", tmp_path)
    assert dataset.train.images.shape == (1000, 32, 32, 3) and len(dataset.test) == 200
    # image 1 of the second batch: 10 + 80 · channel + column + 1
    assert dataset.train.images[201, 0, :2].tolist() == [[11, 91, 171], [12, 92, 172]]
    assert dataset.train.labels[[201, 999]].tolist() == [2, 3]
    assert dataset.test.labels[0] == 5 and dataset.class_names[5] == "dog"
    with pytest.raises(SettingsError, match=r"expected 32.*the setting data.resize_size=64"):
        load("cifar10", tmp_path, image_size=64)


def test_another_file_is_refused_by_its_checksum(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"received SHA-256 \w{12}…, expected that of cifar-10"):
        cifar10.import_archive(tmp_path / "a.tar.gz", tmp_path)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        cifar10.import_archive(tmp_path / "absent", tmp_path)
    assert not cifar10.imported_file(tmp_path).exists()


def test_a_pickle_of_anything_but_arrays_is_refused(tmp_path, monkeypatch):
    evil = b"cos\nsystem\n(S'true'\ntR."
    archive = write(tmp_path / "a.tar.gz", "python", dict.fromkeys(NAMES, evil), monkeypatch)
    with pytest.raises(DataError, match=r"holds os\.system, expected arrays only"):
        cifar10.import_archive(archive, tmp_path)


def test_missing_and_short_batches_are_told(tmp_path, monkeypatch):
    archive = write(tmp_path / "a.tar.gz", "binary", {NAMES[0]: b"123"}, monkeypatch)
    with pytest.raises(DataError, match=r"data_batch_1\.bin has 3 bytes"):
        cifar10.import_archive(archive, tmp_path)
    archive = write(tmp_path / "b.tar.gz", "binary", {}, monkeypatch)
    with pytest.raises(DataError, match=r"no data_batch_1\.bin in it"):
        cifar10.import_archive(archive, tmp_path)


def test_a_damaged_file_says_what_to_do(tmp_path):
    cifar10.imported_file(tmp_path).write_bytes(b"PK")
    with pytest.raises(DataError, match=r"damaged.*import the archive again"):
        load("cifar10", tmp_path)


def test_the_command(run_command, tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(b"no archive")
    done = run_command("data", "import", "cifar10", "a.tar.gz", cwd=tmp_path)
    assert done.returncode == 1 and "expected that of cifar-10-python.tar.gz" in done.stderr
    done = run_command("data", "import", "mnist", "a.tar.gz", cwd=tmp_path)
    assert (
        done.returncode == 2
        and "received 'mnist', expected one that is imported from an archive" in done.stderr
    )


def records(images):
    """CIFAR-100's binary records: superclass, class, then pixels that are the image's number."""
    numbers = np.arange(images, dtype=np.uint8)
    pixels = np.repeat(numbers[:, None], 3072, axis=1)
    return np.concatenate([numbers[:, None] % 20, numbers[:, None] % 100, pixels], axis=1).tobytes()


def test_an_archive_of_cifar_100_loads_by_classes_and_by_superclasses(tmp_path, monkeypatch):
    shrink(120, monkeypatch, CIFAR100)
    members = {"train": records(120), "test": records(120)}
    archive = write(tmp_path / "a.tar.gz", "binary", members, monkeypatch, CIFAR100)
    assert cifar100.import_archive(archive, tmp_path).name == "kmixer-cifar100.npz"
    fine, coarse = load("cifar100", tmp_path), load("cifar100-coarse", tmp_path)
    assert fine.train.labels[[0, 99, 119]].tolist() == [0, 99, 19]
    assert coarse.train.labels[[0, 99, 119]].tolist() == [0, 19, 19]
    assert fine.class_names[99] == "worm" and coarse.class_names[19] == "vehicles_2"
    assert np.array_equal(fine.test.images, coarse.test.images)
    assert (fine.test.images[7] == 7).all()


def test_a_pickled_archive_of_cifar_100(tmp_path, monkeypatch):
    shrink(3, monkeypatch, CIFAR100)
    pixels = np.arange(3 * 3072).reshape(3, 3072).astype(np.uint8)
    values = {b"data": pixels, b"coarse_labels": [0, 19, 3], b"fine_labels": [99, 0, 5]}
    buffer = io.BytesIO()
    PythonTwo(buffer, 2).dump(values)
    content = buffer.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    members = {"train": content, "test": content}
    archive = write(tmp_path / "a.tar.gz", "python", members, monkeypatch, CIFAR100)
    cifar100.import_archive(archive, tmp_path)
    assert load("cifar100", tmp_path).train.labels.tolist() == [99, 0, 5]
    assert load("cifar100-coarse", tmp_path).train.labels.tolist() == [0, 19, 3]


def test_the_archives_of_the_two_are_not_taken_for_each_other(tmp_path, monkeypatch):
    archive = write(tmp_path / "a.tar.gz", "binary", {"train": b""}, monkeypatch, CIFAR100)
    with pytest.raises(DataError, match=r"expected that of cifar-10-python"):
        cifar10.import_archive(archive, tmp_path)
