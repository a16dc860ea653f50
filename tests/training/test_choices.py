"""What settings leave open is chosen by the images, with numbers that can be checked by hand."""

import numpy as np
import pytest

import kmixer
from kmixer.config import Settings
from kmixer.data import Dataset, Split
from kmixer.training import choices
from kmixer.training.best_epoch import best_row, choose_best_epoch, score
from kmixer.training.choices import choose_open, class_weights, fitting_batch_size, patches_line

OPEN = {"epochs": None, "class_weights": None}


def dataset(counts, validation=20):
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    names = tuple("abcdefgh"[: len(counts)])

    def split(labels):
        return Split(np.zeros((len(labels), 4, 4, 1), np.uint8), labels)

    held_out = split(np.arange(validation, dtype=np.int32) % len(counts))
    return Dataset("made", "here", names, split(labels), held_out, held_out)


@pytest.mark.parametrize(
    ("images", "batch"),
    [(3, 3), (20, 10), (94, 11), (249, 31), (1000, 125), (2047, 255), (2048, 256), (55_000, 256)],
)
def test_an_open_batch_size_gives_eight_steps_and_leaves_out_few_images(images, batch):
    assert fitting_batch_size(Settings(), images) == batch
    assert images < 2048 or batch == 256
    assert images >= 2048 or images % batch < images / batch


@pytest.mark.parametrize(
    ("images", "from_scratch", "from_a_start"),
    [(30, 200, 120), (300, 150, 60), (1000, 82, 42), (30_000, 15, 15), (10**6, 10, 10)],
)
def test_open_epochs_grow_fewer_with_the_images(images, from_scratch, from_a_start):
    for epochs, finetune, origin in (
        (from_scratch, None, "from scratch"),
        (from_a_start, {"run": "cifar10-shift"}, "from a start"),
    ):
        settings = Settings(training=OPEN, finetune=finetune)
        chosen, lines = choose_open(settings, dataset([images // 2] * 2))
        assert chosen.training.epochs == epochs
        assert lines[0] == f"training.epochs {epochs}: {images:,} training images, {origin}"


def test_a_batch_that_is_too_large_shrinks_and_it_is_said():
    settings = Settings(data={"batch_size": 256}, training={"best_epoch": "last"})
    chosen, lines = choose_open(settings, dataset([40, 54]))
    assert chosen.data.batch_size == fitting_batch_size(Settings(), 94) == 11
    assert lines == ["data.batch_size 11: received 256, there are 94 images"]


def test_what_is_not_open_stays_and_nothing_is_said():
    settings = Settings(data={"batch_size": 7}, training={"epochs": 3, "best_epoch": "val_loss"})
    assert choose_open(settings, dataset([40, 54])) == (settings, [])


@pytest.mark.parametrize(
    ("counts", "choice"),
    [([20, 20], "none"), ([20, 59], "none"), ([20, 60], "balanced"), ([1, 50], "balanced")],
)
def test_classes_are_balanced_where_they_differ_much(counts, choice):
    chosen, lines = choose_open(Settings(training=OPEN), dataset(counts))
    assert chosen.training.class_weights == choice
    span = "20" if counts == [20, 20] else f"{min(counts)} to {max(counts)}"
    assert f"training.class_weights {choice}: {span} images a class" in lines


@pytest.mark.parametrize(
    ("data", "model", "line"),
    [
        ({}, {"patch_size": 4}, "4: 12×28 pixels make 3×7 patches"),
        ({}, {"patch_size": 4, "patch_stride": 2}, "4: 12×28 pixels make 5×13 patches, 2 apart"),
        ({"resize_size": 10}, {"patch_size": 2}, "2: 10×10 pixels make 5×5 patches"),
    ],
)
def test_patches_are_said_by_hand(data, model, line):
    oblong = Split(np.zeros((2, 12, 28, 1), np.uint8), np.arange(2, dtype=np.int32))
    settings = Settings(data=data, model={"name": "mixer"} | model)
    said = patches_line(settings, Dataset("made", "here", ("a", "b"), oblong, oblong))
    assert said == f"model.patch_size {line}"


def test_class_weights_by_hand():
    weights = class_weights(dataset([10, 30, 0]))
    assert weights.tolist() == pytest.approx([40 / 20, 40 / 60, 0])
    assert (10 * weights[0] + 30 * weights[1]) / 40 == pytest.approx(1)


@pytest.mark.parametrize(
    ("images", "choice", "points"),
    [
        (16, "last", "10.0"),
        (99, "last", "4.0"),
        (100, "val_loss", "4.0"),
        (400, "val_accuracy", "2.0"),
    ],
)
def test_few_validation_images_do_not_choose_the_epoch_by_accuracy(images, choice, points):
    chosen, reason = choose_best_epoch(Settings(), images)
    assert chosen == choice and reason.endswith(f"± {points} points")


def test_validation_images_that_are_trained_on_choose_nothing():
    settings = Settings(data={"train_on_validation": True})
    assert choose_best_epoch(settings, 5000)[0] == "last"


ROWS = [
    {"epoch": 1, "val_accuracy": 0.8, "val_loss": 0.6},
    {"epoch": 2, "val_accuracy": 0.9, "val_loss": 0.7},
    {"epoch": 3, "val_accuracy": 0.9, "val_loss": 0.5},
    {"epoch": 4, "val_accuracy": 0.9, "val_loss": 0.5},
    {"epoch": 5, "val_accuracy": 0.7, "val_loss": 0.4},
    {"epoch": 6, "val_accuracy": 0.7, "val_loss": 0.9},
]


@pytest.mark.parametrize(("choice", "epoch"), [("val_accuracy", 3), ("val_loss", 5), ("last", 6)])
def test_ties_of_accuracy_are_broken_by_the_loss_and_the_first_of_equals_stays(choice, epoch):
    settings = Settings(training={"best_epoch": choice})
    assert best_row(ROWS, settings)["epoch"] == epoch
    assert score(ROWS[2], settings) == score(ROWS[3], settings) or choice == "last"


def test_a_run_of_an_older_version_keeps_its_rule():
    assert best_row(ROWS, Settings())["epoch"] == 3
    assert best_row(ROWS, Settings(data={"train_on_validation": True}))["epoch"] == 6


@pytest.mark.whole
def test_a_training_says_what_was_chosen_and_records_it(tiny, tmp_path, capsys):
    settings = kmixer.build_settings(
        tiny,
        {
            "model": {"patch_size": None},
            "training": {"best_epoch": None, "class_weights": None},
        },
    )
    run = kmixer.train(settings, root=tmp_path)
    said = kmixer.load_run(run.folder).info["choices"]
    assert [line.partition(" ")[0] for line in said] == [
        "training.class_weights",
        "training.best_epoch",
        "model.patch_size",
    ]
    assert f"chosen   {said[0]}\n         {said[1]}\n" in capsys.readouterr().out
    assert run.metrics["best_epoch"] == 2
    assert 0 <= run.metrics["best"]["test"]["balanced_accuracy"] <= 1


@pytest.mark.whole
@pytest.mark.backends
def test_weights_change_what_is_learnt_from_a_lopsided_set(tiny, tmp_path):
    """With one image in four of a class the weights are not all one, and the loss is another."""
    losses = []
    for weights in ("none", "balanced"):
        settings = kmixer.build_settings(
            tiny, {"training": {"class_weights": weights, "epochs": 1}}
        )
        data = kmixer.datasets.load_splits(settings.data)
        keep = np.flatnonzero((data.train.labels == 0) | (np.arange(len(data.train)) % 4 == 0))
        lopsided = type(data)(
            data.name,
            data.source,
            data.class_names,
            data.train.take(keep),
            data.test,
            data.validation,
        )
        run = kmixer.train(settings, dataset=lopsided, root=tmp_path, name=weights, verbose=0)
        losses.append(run.history[0]["loss"])
    assert losses[0] != losses[1]


@pytest.mark.whole
def test_the_time_left_is_said_once_where_the_epochs_were_chosen(
    tiny, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(choices, "MOST_EPOCHS", 4)
    monkeypatch.setattr(choices, "FEWEST_EPOCHS", 4)
    kmixer.train(kmixer.build_settings(tiny, {"training": {"epochs": None}}), root=tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("left")] == [
        "left     about 1 min for 2 epochs"
    ]
    assert next(line for line in lines if line.startswith("left")) == lines[-4]
