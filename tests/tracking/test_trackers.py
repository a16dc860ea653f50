"""Each tracker with its real package, writing to a folder: a training that was stopped and resumed."""

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

import keras
import pytest

import kmixer
import tracker_readers
from interrupted_training import Signal, build, cut
from kmixer.errors import KmixerWarning
from kmixer.tracking import tracking
from kmixer.tuning.tracking import tracked_sweep

os.environ.setdefault("TRACKIO_DIR", tempfile.mkdtemp(prefix="kmixer-test-trackio-"))

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the same for every backend"
)

STOPPED = {"mlflow": "KILLED", "trackio": "stopped", "tensorboard": "stopped"}
FINISHED = {"mlflow": "FINISHED", "trackio": "finished", "tensorboard": "finished"}
MODEL = {"README.md", "config.yaml", "labels.txt", "model.keras"}


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A database of MLflow's own, and no other settings of it."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("name", STOPPED)
def test_a_training_that_was_stopped_goes_on_in_one_record(name, store, tiny):
    if not find_spec(name):
        pytest.skip(f"{name} is not installed")
    read = getattr(tracker_readers, f"read_{name}")
    settings = build(tiny, "training.epochs=3", f"training.track={name}", "training.seed=7")
    sweep = store / "sweep"
    sweep.mkdir()
    with tracked_sweep(sweep, {"run": settings}, {"training.seed": [7]}):
        run = cut(settings, sweep, Signal(1, 1))
        stopped, before = read(run.folder), tracker_readers.record_id(run.folder, name)
        assert stopped.state == STOPPED[name] and [step for step, _ in stopped.curve] == [1]
        run = kmixer.resume(run, verbose=0)
    assert tracker_readers.record_id(run.folder, name) == before
    found = read(run.folder)
    assert found.state == FINISHED[name]
    expected = [(row["epoch"], row["val_accuracy"]) for row in run.history]
    assert found.curve == [(step, pytest.approx(value)) for step, value in expected]
    assert str(found.params["training.seed"]) == "7"
    assert found.params["optimizer.name"] == run.settings.optimizer.name
    test = run.metrics["best"]["test"]
    for key in ("accuracy", "calibration_error"):
        assert found.metrics[f"best.test.{key}"] == pytest.approx(test[key])
    assert found.pictures == {"curves.png", "confusion_matrix.png", "example.png"}
    if name != "tensorboard":  # which has neither files nor parents
        assert found.model >= MODEL
        assert found.parent == tracker_readers.record_id(sweep, name)
        group = read(sweep)
        assert group.state != "failed" and group.metrics["best.test_accuracy"] == test["accuracy"]
        assert str(group.params["grid.training.seed"]) == "[7]"


class Fails:
    """A tracker whose disk is full after the first epoch."""

    def begin(self, subject, earlier, parent):
        return "record"

    def log(self, step, values):
        if step == 2:
            raise OSError(28, "No space left on device")

    def end(self, state, result):
        raise AssertionError("it is left out")


@pytest.mark.whole
def test_a_tracker_that_fails_stops_no_training(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "open_tracker", lambda name: Fails())
    settings = build(tiny, "training.epochs=3", "training.track=tensorboard")
    message = (
        "tensorboard: .*run is not tracked there from now on: .*No space left on device; all else"
    )
    with pytest.warns(KmixerWarning, match=message) as caught:
        run = kmixer.train(settings, out=tmp_path / "run", verbose=0)
    assert sum(warning.category is KmixerWarning for warning in caught) == 1
    assert run.finished and len(run.history) == 3
    record = Path(run.folder / "tracking.json").read_text()
    assert '"steps": 1' in record  # a resumed training would send the others
