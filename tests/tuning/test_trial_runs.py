"""The run in a trial's folder is used only if the search draws its settings."""

import shutil

import keras
import pytest

import kmixer
from changed_run import changed_run
from kmixer.config import presets
from kmixer.data import load_splits
from kmixer.errors import DataError, KmixerWarning, RunError
from kmixer.runs.run import load_run
from kmixer.training.resolve import resolve
from kmixer.tuning import results
from kmixer.tuning.plan import Plan
from kmixer.tuning.trial_run import check_drawn, differing, remove_other_run
from kmixer.tuning.trials import Trial, shown
from tiny_settings import tiny_settings

if keras.backend.backend() != "tensorflow":
    pytest.skip("the check is of settings, whatever the backend", allow_module_level=True)

OWN = {"validation_size": 0.2, "image_size": 32, "channels": None, "mean": None, "std": None}


@pytest.mark.parametrize("name", sorted(set(presets.preset_names()) - {"finetune"}))
def test_what_a_training_fills_in_is_no_difference(name, image_folder):
    asked = kmixer.build_settings(
        presets.read_preset(name), {"data": OWN | {"name": str(image_folder)}}
    )
    assert differing(asked, resolve(asked, load_splits(asked.data))) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"blocks": 3}},
        {"optimizer": {"name": "sgd", "learning_rate": 0.01}},
        {"training": {"seed": 7}},
        {"data": {"channels": 3, "mean": [0.1] * 3, "std": [0.5] * 3}},
        {"augment": {"horizontal_flip": 0.5}},
        {"schedule": {"name": "exponential"}},
    ],
)
def test_a_run_of_other_settings_is_removed(changes, trained_run, tmp_path):
    folder = tmp_path / "trials" / "trial-000"
    changed_run(trained_run, folder, **changes)
    with pytest.warns(KmixerWarning, match=r"trial-000: begun with .* removed, and trained anew"):
        remove_other_run(folder, trained_run.settings, tmp_path)
    assert not folder.exists()


def test_a_run_of_the_same_settings_stays(trained_run, image_folder, tmp_path):
    folder = tmp_path / "trials" / "trial-000"
    shutil.copytree(trained_run.folder, folder)
    asked = kmixer.build_settings(
        tiny_settings(image_folder, optimizer={"learning_rate": 0.02}, training={"epochs": 6})
    )
    remove_other_run(folder, asked, tmp_path)
    assert load_run(folder).settings == trained_run.settings


def test_a_link_is_not_followed(trained_run, tmp_path):
    (tmp_path / "trials").mkdir()
    (tmp_path / "trials" / "trial-000").symlink_to(trained_run.folder)
    with pytest.raises(RunError, match="link"):
        remove_other_run(tmp_path / "trials" / "trial-000", trained_run.settings, tmp_path)
    assert (trained_run.folder / "config.yaml").exists()


def test_a_finished_trial_has_the_values_drawn_for_it(trained_run, tmp_path):
    trial = Trial(0, {"model.blocks": 3})
    asked = trained_run.settings.changed(model={"blocks": 3}, training={"epochs": 9})
    with pytest.raises(RunError, match=r"has model\.blocks 2, the search's record 3"):
        check_drawn(tmp_path, trial, asked, trained_run.settings)
    check_drawn(tmp_path, trial, asked, trained_run.settings.changed(model={"blocks": 3}))


def test_images_that_only_the_run_of_a_trial_names_are_not_opened(trained_run, tmp_path):
    class Engine:
        def read(self, key):
            return None

    class Search:
        engine, plan = Engine(), Plan(trained_run.settings, {}, tmp_path)
        trial_settings = staticmethod(lambda trial: trained_run.settings)

    changed_run(trained_run, tmp_path / "trials" / "trial-000")
    config = tmp_path / "trials" / "trial-000" / "config.yaml"
    other = tmp_path / "never named"
    other.mkdir()
    config.write_text(config.read_text().replace(str(trained_run.settings.data.name), str(other)))
    with pytest.raises(DataError, match="never named on this machine"):
        results.read_test(Search(), Trial(0, {}))


@pytest.mark.parametrize(
    ("objective", "value", "spread", "text"),
    [
        ("val_accuracy", 0.91236, None, "91.24 %"),
        ("accuracy", 0.5, 0.0123, "50.00 ± 1.23 %"),
        ("val_loss", 0.25, None, "0.2500"),
        ("loss", 1.5, 0.25, "1.5000 ± 0.2500"),
    ],
)
def test_an_accuracy_is_written_in_per_cent(objective, value, spread, text):
    assert shown(objective, value, spread) == text
