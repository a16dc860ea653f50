"""Which images a run is measured on: none of its own that it has seen, all labeled ones of another folder."""

import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from kmixer.data.asked import remember_data
from kmixer.data.digests import image_digests
from kmixer.errors import DataError
from kmixer.evaluation.evaluate import evaluate
from kmixer.evaluation.images import choose_images, load_data, without_seen


@pytest.fixture
def folder(image_folder, tmp_path):
    """A copy of the images that `trained_run` was trained on, to be changed."""
    return shutil.copytree(image_folder, tmp_path / "halves")


@pytest.fixture
def run(trained_run, folder):
    """`trained_run`, as if its images lay in `folder`."""
    settings = trained_run.settings.changed(data={"name": str(folder)})
    remember_data(settings.data)  # as a training does
    return replace(trained_run, settings=settings)


def write_picture(path, seed, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (8, 8) if mode == "L" else (8, 8, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def files(images):
    return [str(file) for file in images.split.files]


def test_unchanged_images_are_the_splits_of_the_training(trained_run):
    images = choose_images(trained_run)
    assert len(images.split) == 40 and images.left_out == {} and images.copies is None
    assert not any("changed" in note for note in images.notes)
    assert len(choose_images(trained_run, split_name="train").split) == 100
    assert len(choose_images(trained_run, split_name="validation").split) == 20


def test_copies_in_the_runs_own_test_set_are_told(run, monkeypatch):
    seen, own = run.seen_images, choose_images(run).split
    train = np.append(seen.train, image_digests(own.images[:3]))
    with_copies = replace(seen, train=train)
    monkeypatch.setattr(type(run), "seen_images", property(lambda self: with_copies))
    images = choose_images(run)
    assert len(images.split) == 40 and images.copies.tolist() == [True] * 3 + [False] * 37


def test_what_a_run_cuts_from_images_of_another_shape_is_told(run, tmp_path):
    folder = tmp_path / "wide"
    for name in run.class_names:
        (folder / name).mkdir(parents=True)
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 32), np.uint8)).save(
            folder / name / "0.png"
        )
    notes = choose_images(run, str(folder)).notes
    assert (
        "all images are 8×32 (height×width): the center square is used, 75 % of an average image is"
        " cut away, as the run reads images" in notes
    )


def test_images_that_moved_from_training_to_test_are_left_out_whatever_their_names(run, folder):
    seen = run.seen_images
    assert [len(part) for part in (seen.train, seen.validation, seen.test)] == [100, 20, 40]
    for file in (folder / "train" / "above").iterdir():
        shutil.copy(file, folder / "test" / "below" / f"renamed {file.name}")
    write_picture(folder / "test" / "above" / "new.png", seed=1)
    images = choose_images(run)
    assert len(images.split) == 41 and not any("renamed" in file for file in files(images))
    assert "test/above/new.png" in files(images)
    assert sum(images.left_out.values()) == 60 and images.left_out["trained_on"] == 50
    assert "40 of the training's 40 test images and 1 that are new" in images.notes[0]
    assert "50 that it was trained on, 10 that chose its epoch" in images.notes[0]


def test_the_training_split_of_changed_images_is_what_is_left_of_it(run, folder):
    shutil.rmtree(folder / "test")
    for file in sorted((folder / "train" / "above").iterdir())[5:]:
        file.unlink()  # too few for the validation images of the training
    counts = Counter(np.isin(choose_images(run, split_name="train").split.labels, [0]).tolist())
    assert counts[True] <= 5 and counts[False] >= 45
    with pytest.raises(DataError, match="was trained on, or chosen by, all its"):
        choose_images(run)


def test_a_folder_is_measured_whole_whatever_its_shape(trained_run, image_folder, tmp_path):
    both = choose_images(trained_run, str(image_folder))
    assert both.split_name == "test"  # its own folder by name is its own
    copy = shutil.copytree(image_folder, tmp_path / "copy")
    images = choose_images(trained_run, str(copy))
    assert len(images.split) == 160 and int(images.copies.sum()) == 120
    assert images.notes[0] == "copy: all 160 labelled images of its test and train folders"
    assert len(choose_images(trained_run, str(copy), split_name="test").split) == 40
    flat = shutil.copytree(image_folder / "test", tmp_path / "flat")
    assert len(choose_images(trained_run, str(flat)).split) == 40
    shutil.rmtree(flat / "below")
    one = choose_images(trained_run, str(flat))
    assert len(one.split) == 20 and set(one.split.labels) == {0}
    assert any("no images of 1 of the run's 2 classes: 'below'" in note for note in one.notes)


def test_a_test_folder_alone_is_measured(trained_run, image_folder, tmp_path):
    shutil.copytree(image_folder / "test", tmp_path / "photos" / "test")
    images = choose_images(trained_run, str(tmp_path / "photos"))
    assert len(images.split) == 40 and not images.copies.any()


def test_an_unknown_class_is_refused_by_name(trained_run, image_folder, tmp_path):
    flat = shutil.copytree(image_folder / "test", tmp_path / "flat")
    (flat / "below").rename(flat / "belows")
    with pytest.raises(DataError, match=r"1 class that the run does not know: 'belows' .*'below'"):
        choose_images(trained_run, str(flat))


def test_color_pictures_are_read_as_the_gray_run_reads_them(trained_run, tmp_path):
    write_picture(tmp_path / "p" / "above" / "1.png", 1, "RGB")
    images = choose_images(trained_run, str(tmp_path / "p"))
    assert images.split.images.shape == (1, 8, 8, 1)
    assert any("color images are read as gray ones" in note for note in images.notes)


def test_copies_are_counted_and_the_accuracy_without_them_is_told(
    trained_run, image_folder, tmp_path
):
    photos = shutil.copytree(image_folder / "test", tmp_path / "photos")
    for file in sorted((photos / "above").iterdir())[:10]:
        file.rename(photos / "below" / f"wrong {file.name}")  # its label is wrong now
    shutil.copytree(image_folder / "train" / "above", photos / "above", dirs_exist_ok=True)
    images = choose_images(trained_run, str(photos))
    metrics, _ = evaluate(trained_run, images, out=tmp_path / "out")
    assert metrics["copies"]["examples"] == 60
    count = len(images.split)
    assert metrics["accuracy"] == (count - 10) / count
    assert metrics["copies"]["accuracy_without"] == (count - 60 - 10) / (count - 60)
    lines = (tmp_path / "out" / "mistakes.csv").read_text().splitlines()
    assert lines[0] == "image,class,predicted,probability,probability_of_class"
    assert len(lines) == 11 and all(line.startswith("below/wrong ") for line in lines[1:])
    assert ",below,above," in lines[1]


def test_a_run_that_did_not_record_its_images_says_so_where_they_changed(run, folder, tmp_path):
    old = replace(run, folder=shutil.copytree(run.folder, tmp_path / "old"))
    (old.folder / "seen_images.npz").unlink()
    assert old.seen_images is None and choose_images(old).left_out == {}
    write_picture(folder / "test" / "above" / "new.png", seed=1)
    assert "the run did not record its images" in choose_images(old).notes[0]


def test_data_to_verify_an_export_on_hold_nothing_that_was_seen(
    trained_run, image_folder, tmp_path
):
    photos = shutil.copytree(image_folder, tmp_path / "photos")
    shutil.copytree(photos / "train" / "above", photos / "test" / "above", dirs_exist_ok=True)
    dataset = load_data(trained_run, str(photos))
    shown = without_seen(trained_run, dataset)
    assert len(dataset.test) - len(shown.test) == 60
    assert "60 test images left out" in shown.notes[-1]


def test_a_read_only_run_is_measured_and_nothing_is_written(trained_run, monkeypatch):
    from kmixer.files import atomic

    monkeypatch.setattr(atomic, "is_read_only", lambda folder: True)
    before = sorted(trained_run.folder.rglob("*"))
    metrics, folder = evaluate(trained_run, choose_images(trained_run))
    assert metrics["accuracy"] == 1.0 and folder is None
    assert sorted(trained_run.folder.rglob("*")) == before
