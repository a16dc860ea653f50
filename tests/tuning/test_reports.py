"""The reports that kmixer rebuilds: what is trained for each, and how ours stands beside it."""

import json
import shutil
from pathlib import Path

import pytest

from kmixer.config import loading, presets
from kmixer.errors import SettingsError
from kmixer.tuning import reports

RUN = Path(__file__).parent.parent.parent / "docs" / "runs" / "fmnist-fast-seed0"


def planned(name, seeds=1, *more):
    return reports.plan(reports.choose_reports([name]), seeds, more)


def settings_of(training):
    preset = presets.read_preset(training.report.preset)
    return loading.build_settings(preset, *map(loading.parse_assignment, training.assignments))


@pytest.mark.parametrize("name", reports.all_reports())
def test_a_report_is_trained_under_its_own_protocol_and_under_a_strict_one(name):
    own, strict = map(settings_of, planned(name))
    assert own.data.train_on_validation and own.training.test_every_epoch
    assert not strict.data.train_on_validation and not strict.training.test_every_epoch
    assert own.model == strict.model and own.training.epochs == strict.training.epochs
    assert own.data.name == strict.data.name == reports.all_reports()[name].dataset


def test_the_rate_of_a_plateau_follows_what_the_report_held_out():
    own, strict = map(settings_of, planned("fmnist-batchnorm"))
    assert (own.plateau.monitor, strict.plateau.monitor) == ("test_loss", "val_loss")


def test_all_means_each():
    assert reports.choose_reports(["all"]) == reports.all_reports()


def test_an_unknown_report_is_refused_by_the_nearest_name():
    with pytest.raises(SettingsError, match=r"'fmnist-pyramids'.*fmnist-pyramid"):
        reports.choose_reports(["fmnist-pyramids"])


def write_run(folder, training, accuracies):
    """Write a finished run whose metrics have these accuracies: last, best, best on test."""
    run = shutil.copytree(RUN, folder / training.name)
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["last"]["test"]["accuracy"], metrics["best"]["test"]["accuracy"], on_test = accuracies
    if training.protocol == "report":
        metrics["best_on_test"] = {"epoch": 2, "loss": 0.3, "accuracy": on_test}
    (run / "metrics.json").write_text(json.dumps(metrics))


def test_a_figure_is_the_mean_over_the_seeds_and_the_larger_miss_counts(tmp_path):
    trainings = planned("fmnist-batchnorm", 2)  # it says 89.84, and 89.19 for the last epoch
    figures = {
        ("report", 0): (0.88, None, 0.90),
        ("report", 1): (0.89, None, 0.89),
        ("strict", 0): (0.1, 0.87, None),
        ("strict", 1): (0.1, 0.88, None),
    }
    for training in trainings:
        last, best, on_test = figures[training.protocol, training.seed]
        write_run(tmp_path, training, (last, best or 0.2, on_test))
    (row,) = reports.describe(tmp_path, trainings)
    assert row["chosen_on_test"] == 89.5 and row["last"] == 88.5 and row["strict"] == 87.5
    assert row["missed_by"] == 0.69 and row["seeds"] == 2  # 89.19 - 88.5, more than 89.84 - 89.5


def test_what_is_reached_is_not_missed(tmp_path):
    trainings = planned("fmnist-mlp4")
    for training in trainings:
        write_run(tmp_path, training, (0.8, 0.881, 0.8862))
    (row,) = reports.describe(tmp_path, trainings)
    assert row["missed_by"] == 0.0


def test_the_command_lists_the_reports(run_command):
    done = run_command("reproduce", "--list", "--json")
    assert json.loads(done.stdout)["reports"]["cifar10-s32"]["figures"]["test"] == 63.16


def test_the_command_needs_a_report(run_command):
    done = run_command("reproduce")
    assert "received none, expected names of `--list`, or all" in done.stderr


@pytest.mark.slow
def test_the_command_trains_both_protocols_and_goes_on(run_command, tmp_path):
    small = ("--set", "data.train_per_class=10", "--set", "data.validation_size=50")
    words = ("reproduce", "fmnist-mlp4", "--set", "training.epochs=2", *small, "--json")
    done = run_command(*words, cwd=tmp_path)
    (row,) = json.loads(done.stdout)["reports"]
    own = json.loads(
        (tmp_path / "saved_models/reproduce/fmnist-mlp4-report-seed0/metrics.json").read_text()
    )
    assert row["chosen_on_test"] == round(100 * own["best_on_test"]["accuracy"], 2)
    assert row["missed_by"] == round(88.62 - row["chosen_on_test"], 2)
    again = run_command(*words, cwd=tmp_path)
    assert json.loads(again.stdout)["reports"] == [row] and again.stderr.count("(finished)") == 2
