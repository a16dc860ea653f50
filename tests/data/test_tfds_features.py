"""A prepared data set of TFDS names its feature classes; none is imported that images do not need."""

import json
import sys

import pytest

from kmixer.data import load
from kmixer.data.sources.tfds_features import CLASSES, check_feature_classes
from kmixer.errors import DataError

IMAGE = "tensorflow_datasets.core.features.image_feature.Image"
FEATURES = {
    "pythonClassName": "tensorflow_datasets.core.features.features_dict.FeaturesDict",
    "featuresDict": {"features": {
        "image": {"pythonClassName": IMAGE, "image": {"shape": {"dimensions": ["8", "8", "1"]}, "dtype": "uint8"}},
        "label": {"pythonClassName": "tensorflow_datasets.core.features.class_label_feature.ClassLabel",
                  "classLabel": {"numClasses": "2"}},
    }},
}  # fmt: skip
INFO = {
    "name": "mine", "version": "1.0.0", "fileFormat": "tfrecord",
    "splits": [{"name": name, "shardLengths": ["1"], "numBytes": "1"} for name in ("train", "test")],
}  # fmt: skip


def with_class(key, name):
    features = json.loads(json.dumps(FEATURES))
    image = features["featuresDict"]["features"]["image"]
    del image["pythonClassName"]
    return features | {
        "featuresDict": {
            "features": features["featuresDict"]["features"] | {"image": image | {key: name}}
        }
    }


# By what is odd about each: what features.json holds, and below which folders.
HOSTILE = {
    "a feature of a module": (with_class("pythonClassName", "canary.Image"), ("1.0.0",)),
    "its other spelling": (with_class("python_class_name", "canary.Image"), ("1.0.0",)),
    "the outermost": (FEATURES | {"pythonClassName": "canary.Dict"}, ("1.0.0",)),
    "the old format": ({"type": "canary.Image", "content": {}}, ("1.0.0",)),
    "a text in the old format": (
        {"type": IMAGE, "content": json.dumps(with_class("pythonClassName", "canary.Image"))}, ("1.0.0",)),
    "a text that is no JSON": ({"type": IMAGE, "content": "{canary"}, ("1.0.0",)),
    "a configuration": (with_class("pythonClassName", "canary.Image"), ("config", "1.0.0")),
    "no folder of a version": (with_class("pythonClassName", "canary.Image"), ()),
    "a number": (with_class("pythonClassName", 3), ("1.0.0",)),
    "a list": (with_class("pythonClassName", [IMAGE]), ("1.0.0",)),
    "a module of TFDS that is no feature": (
        with_class("pythonClassName", "tensorflow_datasets.scripts.cli.main.Image"), ("1.0.0",)),
    "deep lists": ("[" * 100_000, ("1.0.0",)),
    "six megabytes": (" " * 6_000_000, ("1.0.0",)),
}  # fmt: skip


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A module that could be imported, and would be remembered if it were."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "canary.py").write_text("class Image: pass\n")
    monkeypatch.syspath_prepend(tmp_path / "modules")
    yield
    assert "canary" not in sys.modules


def write(folder, features, below, name="mine"):
    target = folder.joinpath(name, *below)
    target.mkdir(parents=True)
    text = features if isinstance(features, str) else json.dumps(features)
    (target / "features.json").write_text(text)
    (target / "dataset_info.json").write_text(json.dumps(INFO | {"name": name}))
    return target


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_class_is_imported_that_is_not_known(kind, tmp_path, canary):
    write(tmp_path, *HOSTILE[kind])
    with pytest.raises(DataError, match="tfds:mine: ") as caught:
        load("tfds:mine", tmp_path)
    assert "features.json" in str(caught.value) and "\n" not in str(caught.value)


def test_a_known_name_and_a_folder_behind_a_link_are_looked_at_too(tmp_path, canary):
    hostile = with_class("pythonClassName", "canary.Image")
    target = write(tmp_path / "elsewhere", hostile, ("1.0.0",))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "1.0.0").symlink_to(target)
    write(tmp_path, hostile, ("3.0.1",), "mnist")
    for name in ("tfds:mine", "mnist", "tfds:mnist:3.0.1"):
        with pytest.raises(DataError, match=r"names the class 'canary\.Image'"):
            load(name, tmp_path)


@pytest.mark.parametrize(
    "name",
    ["../mine", "mine/../../x", "Mine", "/etc", "huggingface:mine", "kaggle:a/b", "", "mine//x"],
)
def test_names_are_names_and_no_paths(name, tmp_path):
    with pytest.raises(DataError, match="expected a name"):
        load(f"tfds:{name}", tmp_path)


def test_the_features_of_images_are_known_and_those_that_are_kept_exist(tmp_path):
    import tensorflow_datasets as tfds

    write(tmp_path, FEATURES, ("1.0.0",))
    check_feature_classes("mine", tmp_path)
    assert set(CLASSES) <= set(tfds.features.FeatureConnector._registered_features)


@pytest.mark.whole
def test_as_a_figure(tmp_path, canary, saw):
    refused = 0
    for number, (features, below) in enumerate(HOSTILE.values()):
        write(tmp_path / str(number), features, below)
        with pytest.raises(DataError):
            load("tfds:mine", tmp_path / str(number))
        refused += 1
    saw("feature classes", f"{refused} of {len(HOSTILE)} refused, none imported")
