"""`training.test_every_epoch`: the test images after each epoch, apart from what is chosen."""

import pytest

import kmixer
from interrupted_training import Signal, build, cut
from kill_and_resume import different
from kmixer.errors import SettingsError
from kmixer.evaluation.report import write_report
from tiny_settings import tiny_settings

pytestmark = pytest.mark.backends
EACH = "training.test_every_epoch=true"


@pytest.fixture(scope="module")
def measured(image_folder, tmp_path_factory):
    """A run of three epochs that measured the test images after each."""
    settings = build(tiny_settings(image_folder), EACH, "training.epochs=3")
    out = tmp_path_factory.mktemp("measured") / "run"
    return kmixer.train(settings, out=out, command="kmixer", verbose=0)


def test_the_last_epochs_figure_is_that_of_the_finished_run(measured):
    last, result = measured.history[-1], measured.metrics["last"]["test"]
    assert last["test_accuracy"] == pytest.approx(result["accuracy"], abs=1e-6)
    assert last["test_loss"] == pytest.approx(result["loss"], abs=1e-4)


def test_the_epoch_that_is_best_on_the_test_images_is_told_apart(measured):
    best = max(measured.history, key=lambda row: row["test_accuracy"])
    assert measured.metrics["best_on_test"] == {
        "epoch": best["epoch"],
        "accuracy": best["test_accuracy"],
        "loss": best["test_loss"],
    }
    by_validation = max(measured.history, key=lambda row: (row["val_accuracy"], -row["val_loss"]))
    assert measured.metrics["best_epoch"] == by_validation["epoch"]


def test_it_is_marked_wherever_it_is_shown(measured, tmp_path):
    card = (measured.folder / "README.md").read_text()
    assert "chosen on the test images and so no estimate" in card
    write_report([measured], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "chosen on the test images: no estimate" in page


@pytest.mark.whole
def test_a_run_does_not_read_the_test_images_before_its_end(image_folder, tmp_path):
    settings = build(tiny_settings(image_folder), "training.epochs=1")
    run = kmixer.train(settings, out=tmp_path / "run", verbose=0)
    assert "test_accuracy" not in run.history[0] and "best_on_test" not in run.metrics


@pytest.mark.whole
@pytest.mark.parametrize("setting", ["augment.on=accelerator", "optimizer.ema=0.9"])
def test_it_measures_what_is_trained(image_folder, tmp_path, setting):
    settings = build(tiny_settings(image_folder), EACH, setting)
    run = kmixer.train(settings, out=tmp_path / "run", verbose=0)
    last = run.metrics["last"]["test"]
    assert run.history[-1]["test_accuracy"] == pytest.approx(last["accuracy"], abs=1e-6)


@pytest.mark.whole
def test_it_changes_nothing_of_the_training(measured, image_folder, tmp_path):
    settings = build(tiny_settings(image_folder), "training.epochs=3")
    run = kmixer.train(settings, out=tmp_path / "run", verbose=0)
    for row, other in zip(run.history, measured.history, strict=True):
        assert row["loss"] == other["loss"] and row["val_loss"] == other["val_loss"]


@pytest.mark.slow
def test_a_resumed_run_has_the_same_history(measured, tmp_path, image_folder):
    settings = build(tiny_settings(image_folder), EACH, "training.epochs=3")
    run = cut(settings, tmp_path, Signal(1, 2))
    kmixer.resume(run, verbose=0)
    assert different(measured.folder, run.folder) == []


@pytest.mark.whole
def test_the_rate_may_follow_the_test_loss_as_a_report_had_it(image_folder, tmp_path):
    rate = ["schedule.name=constant", "plateau.monitor=test_loss", "plateau.patience=1"]
    settings = build(tiny_settings(image_folder), EACH, *rate)
    run = kmixer.train(settings, out=tmp_path / "run", verbose=0)
    assert "test_loss" in run.history[0]


def test_the_test_loss_needs_to_be_measured(image_folder):
    with pytest.raises(SettingsError, match=r"needs training\.test_every_epoch true"):
        build(tiny_settings(image_folder), "schedule.name=constant", "plateau.monitor=test_loss")


def test_a_search_judges_by_validation_alone(image_folder, tmp_path):
    settings = build(tiny_settings(image_folder), EACH)
    with pytest.raises(SettingsError, match=r"test_every_epoch.*in a search"):
        kmixer.train(settings, out=tmp_path / "run", read_test=False)
