"""A run folder whose files are of different moments, of different runs, damaged or gone."""

import json
import os
import shutil

import keras
import pytest

import kmixer
from interrupted_training import build
from kill_and_resume import different
from kmixer.errors import RunError
from kmixer.runs.asked import remember_asked
from kmixer.runs.run import load_run
from tiny_settings import tiny_settings

# The accuracy of the second epoch is the best here or in the others; the last one's never alone.
SETTINGS = ("training.epochs=3", "optimizer.ema=0.9", "model.dropout=0.2")
pytestmark = pytest.mark.filterwarnings("ignore:.*freshly-initialized")


class Copy(keras.callbacks.Callback):
    """Copy the run's folder at the end of each epoch."""

    def __init__(self, folder, target):
        super().__init__()
        self.folder, self.target = folder, target

    def on_epoch_end(self, epoch, logs=None):
        shutil.copytree(self.folder, self.target / f"epoch-{epoch + 1}")


@pytest.fixture(scope="module")
def moments(image_folder, tmp_path_factory):
    """A folder of `whole`, a finished run, `epoch-1` to `epoch-3` of it, and `other`."""
    place = tmp_path_factory.mktemp("moments")
    settings = build(tiny_settings(image_folder), *SETTINGS)
    copying = Copy(place / "whole", place)
    kmixer.train(settings, out=place / "whole", callbacks=[copying], command="kmixer", verbose=0)
    other = settings.changed(training={"seed": 7, "epochs": 1})
    kmixer.train(other, out=place / "other", command="kmixer", verbose=0)
    return place


@pytest.fixture
def ended(moments, tmp_path):
    """A copy of the run that was killed when its last epoch had ended, before it was measured."""
    return shutil.copytree(moments / "epoch-3", tmp_path / "run")


def go_on(folder):
    notes = []
    kmixer.resume(
        load_run(folder), verbose=0,
        on_start=lambda run, dataset, model, position: notes.extend(position.notes),
    )  # fmt: skip
    return notes


def of_first_epoch(name):
    return lambda run, moments: shutil.copy(moments / "epoch-1" / name, run / name)


def of_other_run(name):
    return lambda run, moments: shutil.copy(moments / "other" / name, run / name)


def cut(name):
    return lambda run, moments: os.truncate(run / name, (run / name).stat().st_size // 2)


def gone(name):
    return lambda run, moments: (run / name).unlink()


def flipped(name):
    def flip(run, moments):
        content = bytearray((run / name).read_bytes())
        content[len(content) // 2] ^= 1
        (run / name).write_bytes(content)

    return flip


def written(name, text):
    return lambda run, moments: (run / name).write_text(text)


MENDED = {
    "the model of an earlier epoch": ("model.keras", of_first_epoch("model.keras")),
    "the model of another run": ("model.keras", of_other_run("model.keras")),
    "half a model": ("model.keras", cut("model.keras")),
    "no model": ("model.keras", gone("model.keras")),
    "a flipped byte in the model": ("model.keras", flipped("model.keras")),
    "a text as model": ("model.keras", written("model.keras", "not a model")),
    "the history of an earlier epoch": ("history.csv", of_first_epoch("history.csv")),
    "the history of another run": ("history.csv", of_other_run("history.csv")),
    "half a history": ("history.csv", cut("history.csv")),
    "no history": ("history.csv", gone("history.csv")),
    "no labels": ("labels.txt", gone("labels.txt")),
    "other labels": ("labels.txt", written("labels.txt", "below\nabove\n")),
    "an empty file of labels": ("labels.txt", written("labels.txt", "")),
    "half the seen images": ("seen_images.npz", cut("seen_images.npz")),
    "the metrics of another run": ("metrics.json", of_other_run("metrics.json")),
    "damaged metrics": ("metrics.json", written("metrics.json", "{")),
    "half a checkpoint": ("checkpoint.npz", cut("checkpoint.npz")),
    "a flipped byte in the checkpoint": ("checkpoint.npz", flipped("checkpoint.npz")),
    "the checkpoint of another run": ("checkpoint.npz", of_other_run("checkpoint.npz")),
}
FAST = {
    "the model of an earlier epoch", "no model", "other labels", "damaged metrics",
    "the checkpoint of another run",
}  # fmt: skip


@pytest.mark.whole
@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in MENDED]
)
def test_what_the_checkpoint_holds_is_written_anew(ended, moments, name):
    file, tear = MENDED[name]
    tear(ended, moments)
    notes = go_on(ended)
    assert any(file in note for note in notes) and all("\n" not in note for note in notes)
    assert different(moments / "whole", ended) == []
    load_run(ended).check_model()


def edited(before, after):
    def edit(run, moments):
        config = run / "config.yaml"
        text = config.read_text()
        assert before in text
        config.write_text(text.replace(before, after))

    return edit


def no_checkpoints(run, moments):
    for path in run.glob("checkpoint*"):
        path.unlink()


REFUSED = {
    "settings of another run": (edited("dropout: 0.2", "dropout: 0.1"), "model.dropout 0.2"),
    "more epochs": (edited("epochs: 3", "epochs: 9"), "training.epochs 3"),
    "another seed": (edited("  seed: 0", "  seed: 1"), "training.seed 0"),
    "the settings of another run": (of_other_run("config.yaml"), "do.* not belong to config.yaml"),
    "no checkpoints": (no_checkpoints, "checkpoint.npz is missing, though model.keras"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_nothing_can_mend_is_refused_before_a_step(ended, moments, name):
    tear, message = REFUSED[name]
    tear(ended, moments)
    (ended / ".lock").unlink()  # of the process that was copied
    before = {path.name: path.read_bytes() for path in ended.iterdir() if path.is_file()}
    with pytest.raises(RunError, match=message) as caught:
        go_on(ended)
    assert "\n" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in ended.iterdir() if path.is_file()} == before


def test_where_images_lie_and_what_is_saved_when_may_change(ended, moments):
    edited("track: []", "track: [tensorboard]")(ended, moments)
    edited("checkpoint_every: 10m", "checkpoint_every: 3")(ended, moments)
    assert go_on(ended) == [] and load_run(ended).finished


FOREIGN = {
    "the model of an earlier epoch": ("model.keras", of_first_epoch("model.keras")),
    "other labels": ("labels.txt", written("labels.txt", "below\nabove\n")),
    "the history of an earlier epoch": ("history.csv", of_first_epoch("history.csv")),
    "the metrics of another run": ("metrics.json", of_other_run("metrics.json")),
    "other preprocessing": ("config.yaml", edited("  mean:\n  - 0.", "  mean:\n  - 0.1")),
    "metrics that name nothing": (
        "metrics.json",
        lambda run, moments: (run / "metrics.json").write_text(
            json.dumps(
                {k: v for k, v in json.loads((run / "metrics.json").read_text()).items()
                 if k != "content_sha256"}
            )
        ),
    ),
}  # fmt: skip


@pytest.mark.whole
@pytest.mark.parametrize("name", FOREIGN)
def test_a_finished_run_whose_files_do_not_belong_together_is_refused(
    moments, tmp_path, name, run_command
):
    run = shutil.copytree(moments / "whole", tmp_path / "run")
    file, tear = FOREIGN[name]
    tear(run, moments)
    for command in (
        ["evaluate", run],
        ["predict", run, "x.png"],
        ["export", run, "--format", "tflite"],
        ["compare", run],
    ):
        if command[0] == "compare" and file == "model.keras":
            continue  # it shows no weights
        done = run_command(*command)
        assert done.returncode == 1 and "do not belong together" in done.stderr, done.stderr
        assert file in done.stderr
    if file != "config.yaml":
        assert "kmixer resume" in done.stderr or file == "model.keras"
        go_on(run)
        assert different(moments / "whole", run) == []


def test_a_run_that_was_published_without_its_history_predicts(moments, tmp_path):
    run = shutil.copytree(moments / "whole", tmp_path / "run")
    for name in ("history.csv", "seen_images.npz", "checkpoint.npz", "checkpoint.previous.npz"):
        (run / name).unlink()
    load_run(run).load_model()


def test_an_old_checkpoint_without_the_best_weights_is_refused_before_a_step(
    image_folder, tmp_path, monkeypatch
):
    from pathlib import Path

    old = Path(__file__).parent.parent / "runs" / "format-2-unfinished"
    shutil.copytree(image_folder, tmp_path / "halves")
    monkeypatch.chdir(tmp_path)
    run = shutil.copytree(old, tmp_path / "run")
    cut("model.keras")(run, None)
    remember_asked(load_run(run).settings)
    if keras.backend.backend() == "tensorflow":
        with pytest.raises(RunError, match=r"model.keras.*older version.*train anew"):
            go_on(run)


def test_the_mends_are_counted(saw, passed):
    mended = passed(test_what_the_checkpoint_holds_is_written_anew)
    refused = passed(test_what_nothing_can_mend_is_refused_before_a_step)
    refused += passed(test_a_finished_run_whose_files_do_not_belong_together_is_refused)
    saw("torn runs", f"{mended} of {len(MENDED)} mended and identical to the whole run;"
        f" {refused} of {len(REFUSED) + len(FOREIGN)} refused in one line")  # fmt: skip
