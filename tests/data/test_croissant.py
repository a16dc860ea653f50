"""Croissant descriptions, read by mlcroissant: the same images, labels and splits as kmixer's."""

import json
import unicodedata
from zlib import crc32

import numpy as np
import pytest
from PIL import Image

from kmixer import datasets
from kmixer.data.croissant import describe
from kmixer.errors import DataError

ODD = ("T-shirt 'top'", 'Größe "M"', "a+b (1) [x]*", "猫")


def write(folder, *names, size=6):
    """Write images of noise, each another one."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        noise = np.random.default_rng(crc32(str(folder / name).encode()))
        Image.fromarray(noise.integers(0, 256, (size, size, 3), np.uint8)).save(folder / name)


def described(folder, out=None):
    """Return the data set of a folder, and its description as a file."""
    dataset = datasets.load(str(folder))
    out = out or folder / "croissant.json"
    out.write_text(json.dumps(describe(str(folder), dataset, out=out)))
    return dataset, out


def records(path):
    """Return the records that mlcroissant reads, by the file's name, and its complaints."""
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    read = mlcroissant.Dataset(str(path))
    assert not read.metadata.issues.errors
    found = [*read.records("default")]
    return {row["default/file"].decode(): row for row in found}, read


def check(dataset, path, prefix=""):
    rows, read = records(path)
    names = [row["classes/name"] for row in read.records("classes")]
    assert tuple(names) == dataset.class_names
    expected = {
        prefix + str(file): (role, dataset.class_names[label], image)
        for role, split in dataset.splits.items()
        for file, label, image in zip(split.files, split.labels, split.images, strict=True)
    }
    assert rows.keys() == expected.keys()
    for file, (_, label, image) in expected.items():
        assert rows[file]["default/label"].decode() == label
        assert np.array_equal(np.asarray(rows[file]["default/image"]), image)
    return rows, expected, read


@pytest.mark.filterwarnings("ignore")
def test_splits_with_odd_names_and_files_that_are_left_out(tmp_path):
    root = tmp_path / "my photos [1]"
    for split in ("Training", "test"):
        for name in ODD:
            write(root / split / name, "1.png", "2 é.PNG", "below/3.png")
    (root / "Training" / ODD[0] / "notes.txt").write_text("no image")
    (root / "Training" / ODD[1] / "damaged.png").write_bytes(b"\x89PNG\r\n")
    (root / "Training" / ODD[1] / ".hidden.png").write_bytes(b"")
    dataset, path = described(root)
    rows, expected, read = check(dataset, path)
    assert len(rows) == 2 * 4 * 3 and dataset.class_names == tuple(sorted(ODD))
    roles = {row["splits/name"]: row["splits/url"] for row in read.records("splits")}
    assert roles == {"Training": "cr:TrainingSplit", "test": "cr:TestSplit"}
    kinds = {"train": "Training", "test": "test"}
    for file, (role, *_) in expected.items():
        assert rows[file]["default/split"].decode() == kinds[role]
    dataset, path = described(root, tmp_path / "above.json")
    check(dataset, path, "my photos [1]/")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("inside", ["", "wrapped/", "CLASS/train"])
def test_folders_of_classes_alone_and_of_classes_with_splits(tmp_path, inside):
    root = tmp_path / "photos"
    for name in ("a b", "c.d"):
        files = [f"{number}.png" for number in range(8)]
        if inside == "CLASS/train":
            write(root / name / "train", *files)
            write(root / name / "val", *files[:2])
            write(root / name / "test", *files[:3])
        else:
            write(root / inside / name, *files)
    rows, expected, _ = check(*described(root))
    if inside == "CLASS/train":
        kinds = {"train": "train", "validation": "val", "test": "test"}
        assert {role for role, *_ in expected.values()} == kinds.keys()
        for file, (role, *_) in expected.items():
            assert rows[file]["default/split"].decode() == kinds[role]
    else:  # kmixer draws the test set
        assert all("default/split" not in row for row in rows.values()) and len(rows) == 16


def test_what_croissant_cannot_say_is_refused_in_one_line(tmp_path, run_command):
    root = tmp_path / "photos"
    write(root / "cat", *[f"{number}.png" for number in range(8)])
    write(root / unicodedata.normalize("NFD", "Bär"), *[f"{number}.png" for number in range(8)])
    with pytest.raises(DataError, match="takes a name as it is written; rename"):
        described(root)
    elsewhere = tmp_path / "other" / "x.json"
    elsewhere.parent.mkdir()
    done = run_command("data", "info", root, "--croissant", "--out", elsewhere)
    assert done.returncode == 2 and "expected a file in" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not elsewhere.exists()
    done = run_command("data", "info", root, "--out", elsewhere)
    assert done.returncode == 2 and "expected --croissant with it" in done.stderr


def test_an_image_behind_a_link_is_refused(tmp_path):
    root = tmp_path / "photos"
    write(root / "cat", *[f"{number}.png" for number in range(8)])
    write(tmp_path / "elsewhere", *[f"{number}.png" for number in range(8)])
    (root / "dog").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"dog/.* lies behind a link, which Croissant does not"):
        described(root)


@pytest.mark.filterwarnings("ignore")
def test_a_named_data_set_by_the_files_of_its_authors(tmp_path, run_command):
    pytest.importorskip("tensorflow_datasets", reason="TensorFlow Datasets is not installed")
    done = run_command("data", "info", "fmnist", "--croissant")
    assert done.returncode == 0
    values = json.loads(done.stdout)
    assert values["license"] == "MIT" and "1708.07747" in values["citeAs"].replace(
        "abs-1708-", "1708."
    )
    files = {each["name"]: each["sha256"] for each in values["distribution"]}
    assert len(files) == 4 and {len(digest) for digest in files.values()} == {64}
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    (tmp_path / "fmnist.json").write_text(done.stdout)
    read = mlcroissant.Dataset(str(tmp_path / "fmnist.json"))
    names = [row["classes/name"] for row in read.records("classes")]
    assert not read.metadata.issues.errors and names[:2] == ["T-shirt/top", "Trouser"]
