"""What `kmixer.train` takes beside settings: names, folders, arrays, short names of settings."""

import numpy as np
import pytest

import kmixer
from interrupted_training import Signal
from kmixer.errors import DataError, InterruptedRunError, KmixerError, RunError, SettingsError
from kmixer.options import OPTIONS


@pytest.fixture(scope="module")
def arrays():
    """Forty 8×8 gray images, the second class brighter."""
    labels = np.arange(40) % 2
    random = np.random.default_rng(0)
    images = random.integers(0, 100, (40, 8, 8)) + 120 * labels[:, None, None]
    return images.astype(np.uint8), labels


@pytest.fixture(scope="module")
def run(arrays, tmp_path_factory):
    images, labels = arrays
    names = np.array(["dark", "light"])[labels]
    return kmixer.train(
        (images, names), blocks=1, hidden_dim=4, epochs=2, batch_size=8, jit=False, verbose=0,
        root=tmp_path_factory.mktemp("runs"), settings={"data": {"validation_size": 8}},
    )  # fmt: skip


@pytest.mark.whole
def test_arrays_become_a_run_that_measures_and_shows_itself(run, arrays):
    images, labels = arrays
    assert run.class_names == ("dark", "light") and run.info["preset"] == "photos-mixer"
    assert run.settings.data.name == "arrays" and run.settings.model.blocks == 1
    measured = run.evaluate((images[..., None], labels))
    assert measured["examples"] == 40 and measured["dataset"] == "arrays"
    by_name = run.evaluate((images, [run.class_names[label] for label in labels]))
    assert by_name["accuracy"] == measured["accuracy"]
    assert f"{run.folder}" in repr(run) and "2 epochs, test accuracy" in repr(run)
    assert "<img" in run._repr_html_() and str(run.folder) in run._repr_html_()


@pytest.mark.whole
def test_a_run_exports_and_reports_itself(run, tmp_path, capsys):
    exported = run.export("tflite", out=tmp_path)
    assert exported.folder == tmp_path / "tflite" and exported.manifest["format"] == "tflite"
    assert "it is verified on Fashion-MNIST" in capsys.readouterr().out  # arrays are not kept
    assert run.report(tmp_path / "page.html").read_text().startswith("<!")
    with pytest.raises(SettingsError, match="tflit"):
        run.export("tflit")


def test_arrays_are_not_kept_and_the_error_says_what_to_do(run):
    with pytest.raises(DataError, match=r"give them again: run\.evaluate"):
        run.evaluate()


@pytest.mark.whole
def test_a_run_of_arrays_goes_on_when_they_are_given_again(arrays, tmp_path):
    images, labels = arrays
    options = {"blocks": 1, "hidden_dim": 4, "epochs": 2, "batch_size": 8, "jit": False}
    with pytest.raises(InterruptedRunError):
        kmixer.train(
            arrays, name="cut", root=tmp_path, verbose=0, callbacks=[Signal(1, 2)], **options
        )
    cut = kmixer.load_run(tmp_path / "cut")
    assert "not finished" in repr(cut)
    with pytest.raises(DataError, match=r"kmixer\.resume\(run, data="):
        kmixer.resume(cut, verbose=0)
    with pytest.raises(RunError, match="trained on other images"):
        kmixer.resume(cut, data=(255 - images, labels), verbose=0)
    done = kmixer.resume(cut, data=arrays, verbose=0)
    whole = kmixer.train(arrays, name="whole", root=tmp_path, verbose=0, **options)
    assert [row["loss"] for row in done.history] == [row["loss"] for row in whole.history]


def test_runs_are_listed_and_unreadable_folders_passed_over(run, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.yaml").write_text("run: 3\n")
    assert kmixer.list_runs(tmp_path) == [] == kmixer.list_runs(tmp_path / "nowhere")
    assert kmixer.list_runs(run.folder.parent) == [run]
    assert isinstance(kmixer.load_run(run.folder), kmixer.Run)


@pytest.mark.whole
def test_a_folder_and_options_train_as_the_command_does(image_folder, tmp_path):
    run = kmixer.train(
        image_folder, preset="photos-mixer", epochs=1, batch_size=8, hidden_dim=4, blocks=1,
        jit=False, root=tmp_path, verbose=0,
    )  # fmt: skip
    assert run.settings.data.name == str(image_folder) and run.settings.training.epochs == 1
    assert run.evaluate()["split"] == "test"


def test_the_names_of_a_data_set_bring_its_preset(monkeypatch):
    asked = {}

    def stop(settings, **given):
        asked.update(given, settings=settings)

    monkeypatch.setattr("kmixer.training.train.train", stop)
    assert kmixer.train("fmnist", blocks=2, settings={"augment": {"horizontal_flip": 0.5}}) is None
    settings = asked["settings"]
    assert asked["preset"] == "fmnist" and settings.optimizer.name == "muon"
    assert (settings.model.blocks, settings.augment.horizontal_flip) == (2, 0.5)
    loaded = kmixer.datasets.load("fmnist")
    kmixer.train(loaded, epochs=1)
    assert asked["preset"] == "fmnist" and asked["dataset"].train is not None
    assert len(asked["dataset"].validation) == 5_000


IMAGES = np.zeros((4, 8, 8), np.uint8)
LABELS = np.array([0, 1, 0, 1])
REFUSED = {
    "a number": (dict(data=5), r"received 5, expected the name of a data set"),
    "no such option": (dict(data="fmnist", blok=2), r"blok: no such option \(nearest: 'blocks'\)"),
    "no such folder": (dict(data="./nowhere"), "no such name and no such folder"),
    "floats": (dict(data=(IMAGES / 255, LABELS)), r"float64 \(4, 8, 8, 1\), expected uint8"),
    "too few labels": (dict(data=(IMAGES, LABELS[:3])), "4 images and 3 labels"),
    "labels of another class": (
        dict(data=(IMAGES, LABELS), class_names=["only"]), "labels from 0 to 1, expected 0 to 0",
    ),
    "five channels": (
        dict(data=(np.zeros((4, 8, 8, 5), np.uint8), LABELS)), "1 or 3 channels",
    ),
    "labels in floats": (dict(data=(IMAGES, LABELS / 2)), "labels of float64"),
    "ragged": (dict(data=([[1], [1, 2]], LABELS)), "train: "),
    "test images beside a name": (dict(data="fmnist", test=(IMAGES, LABELS)), "test: received"),
    "options beside settings": (
        dict(data=kmixer.build_settings({}), blocks=2), "blocks: received a value",
    ),
    "a bad size": (dict(data="fmnist", image_size="64x"), "image_size: received '64x'"),
    "another shape to test": (
        dict(data=(IMAGES, LABELS), test=(np.zeros((2, 9, 9), np.uint8), [0, 1])), "same of each",
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", REFUSED)
def test_what_cannot_be_trained_is_told_in_a_sentence(why, tmp_path):
    given, message = REFUSED[why]
    with pytest.raises(KmixerError, match=message) as told:
        kmixer.train(root=tmp_path, verbose=0, **given)
    assert "\n" not in str(told.value) and not list(tmp_path.iterdir())


def test_every_option_names_a_setting():
    from kmixer.config.schema import paths

    assert {option.path for option in OPTIONS.values()} <= set(paths())
