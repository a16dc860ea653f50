"""How trackers are named and told apart; what a folder keeps of them; no package is needed."""

import json
from contextlib import nullcontext

import pytest

import kmixer
from kmixer.config import loading
from kmixer.errors import InterruptedRunError, KmixerWarning, SettingsError
from kmixer.tracking import trackers, tracking
from kmixer.tracking.mlflow_tracker import _cut, _text
from kmixer.tracking.records import Record, find_parent, read_records, write_records
from kmixer.tracking.tracker import Result, Subject
from kmixer.tracking.tracking import Tracking, tracked


class Kept:
    """A tracker that keeps what it is told; its record is found again unless `lost`."""

    def __init__(self, lost=False):
        self.told, self.lost = [], lost

    def begin(self, subject, earlier, parent):
        self.told.append(("begin", earlier, parent))
        return "new" if self.lost or earlier is None else earlier

    def log(self, step, values):
        self.told.append(("log", step, dict(values)))

    def end(self, state, result):
        self.told.append(("end", state, result.reason))


def follow(monkeypatch, folder, tracker, names=("mlflow",), parent=None):
    monkeypatch.setattr(tracking, "open_tracker", lambda name: tracker)
    return Tracking(names, Subject("a", folder, {}, {}, parent))


STEPS = [(1, {"loss": 0.5}), (2, {"loss": 0.25})]


def test_a_record_goes_on_where_it_was(tmp_path, monkeypatch):
    first = follow(monkeypatch, tmp_path, Kept())
    first.begin()
    first.log(STEPS[:1])
    again = follow(monkeypatch, tmp_path, kept := Kept())
    again.begin()
    again.log(STEPS)
    assert kept.told == [("begin", "new", None), ("log", 2, {"loss": 0.25})]
    lost = follow(monkeypatch, tmp_path, kept := Kept(lost=True))
    write_records(tmp_path, {"mlflow": Record(id="gone", steps=2)})
    lost.begin()
    lost.log(STEPS)
    assert [what for what, *_ in kept.told] == ["begin", "log", "log"]


def test_a_run_finds_the_record_that_it_belongs_to(tmp_path, monkeypatch):
    trial = tmp_path / "search" / "trials" / "trial-000"
    trial.mkdir(parents=True)
    assert find_parent(trial) is None
    write_records(tmp_path / "search", {"mlflow": Record(id="above")})
    assert find_parent(trial) == (tmp_path / "search").resolve()
    follow(monkeypatch, trial, kept := Kept(), parent=find_parent(trial)).begin()
    assert kept.told == [("begin", None, "above")]


@pytest.mark.parametrize(
    ("error", "state"),
    [(InterruptedRunError("a signal", 2), "stopped"), (KeyboardInterrupt(), "stopped"),
     (OSError("full"), "failed"), (None, "finished")],
)  # fmt: skip
def test_how_it_ended_is_told(tmp_path, monkeypatch, error, state):
    monkeypatch.setattr(tracking, "open_tracker", lambda name: kept)
    kept, subject = Kept(), Subject("a", tmp_path, {}, {})
    with (
        pytest.raises(type(error)) if error else nullcontext(),
        tracked(["mlflow"], subject, lambda: Result(steps=STEPS)) as within,
    ):
        within.begin()
        if error:
            raise error
    assert kept.told[-1][:2] == ("end", state)
    assert sum(what == "log" for what, *_ in kept.told) == (0 if error else 2)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"mlflow": {"id": "../../x"}}', '{"mlflow": {"id": "a", "steps": -1}}',
     '{"mlflow": {"id": "a b"}}', '{"mlflow": {"id": "a", "uri": "http://x"}}', "9" * 20_000],
)  # fmt: skip
def test_a_damaged_record_counts_as_none(tmp_path, text):
    (tmp_path / "tracking.json").write_text(text)
    with pytest.warns(KmixerWarning, match="damaged, so that its trackers begin a new record"):
        assert read_records(tmp_path) == {}


def test_a_package_that_is_missing_is_named_before_anything_is_made(
    run_command, image_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(trackers, "find_spec", lambda package: None)
    for words in (["train"], ["sweep", "--grid", "model.blocks=1"], ["tune", "--trials", "1"]):
        command, *more = words
        done = run_command(command, image_folder, "--track", "mlflow", *more, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr == (
            "kmixer: training.track: received 'mlflow', expected mlflow to be installed with it;"
            " install with: pip install 'kmixer[mlflow]'\n"
        )
    assert not list(tmp_path.iterdir())


def test_trackers_are_named_one_or_several(run_command, image_folder, tmp_path):
    build = loading.build_settings
    assert build({"training": {"track": "mlflow"}}).training.track == ["mlflow"]
    twice = ["trackio", "mlflow", "trackio"]
    assert build({"training": {"track": twice}}).training.track == ["trackio", "mlflow"]
    done = run_command("train", image_folder, "--track", "mlfow", cwd=tmp_path)
    assert done.returncode == 2 and "training.track.0: received 'mlfow'" in done.stderr
    with pytest.raises(SettingsError, match=r"training\.track\.0: received 'wandb'"):
        kmixer.train(str(image_folder), track="wandb")


@pytest.mark.parametrize(
    ("training", "track"),
    [({"tensorboard": True}, ["tensorboard"]), ({"tensorboard": False}, []),
     ({"tensorboard": True, "track": ["mlflow"]}, ["mlflow"])],
)  # fmt: skip
def test_the_setting_of_before_is_read(training, track):
    settings = loading.build_settings({"training": training})
    assert settings.training.track == track and "tensorboard:" not in loading.dump(settings)


def test_values_are_as_config_yaml_has_them_and_fit():
    assert [_text(value) for value in (None, True, [1, "é"], "sgd", 0.1)] == [
        "null", "true", '[1, "é"]', "sgd", "0.1",
    ]  # fmt: skip
    assert _cut("x" * 7000, 6000) == "x" * 5999 + "…" and _cut("short", 6000) == "short"
    assert json.loads(_text({"a": [1]})) == {"a": [1]}
