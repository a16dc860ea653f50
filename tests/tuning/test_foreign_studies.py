"""Optuna's file in a search folder of others, or of a process that was killed."""

import json
import os

import pytest

pytest.importorskip("optuna")

from kmixer.errors import RunError, SettingsError
from kmixer.tuning.engines import optuna_storage
from kmixer.tuning.engines.journal import Journal
from kmixer.tuning.engines.optuna_engine import OptunaEngine
from kmixer.tuning.space.space import Space
from kmixer.tuning.trials import METRICS
from tuning_search import finished

SET_ATTRIBUTE = 8  # of a trial, in Optuna's journal
NUMBERS = dict.fromkeys(METRICS, 1)


def finished_as(**changes):
    """Return the record of a finished trial that is wrong in one thing."""
    return finished(0.5).as_dict() | changes


def begin(path):
    """Open the search in a file and return its first trial."""
    space = Space({"model.blocks": [1, 2]})
    engine = OptunaEngine(
        space, "random", "val_accuracy", 0, 2, path, "search", max_trials=3, exclusive=True
    )
    try:
        return engine.ask()
    finally:
        engine.close()


@pytest.mark.parametrize("target", ["nowhere", "/dev/null"])
def test_a_lock_that_leads_elsewhere_is_not_waited_for(tmp_path, monkeypatch, target):
    monkeypatch.setattr(optuna_storage, "STALE_SECONDS", 0.3)
    first = begin(tmp_path / "study.jsonl")
    (tmp_path / "study.jsonl.lock").symlink_to(target)
    assert begin(tmp_path / "study.jsonl") == first


def test_a_lock_leads_to_its_file_from_a_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inner").mkdir()
    led, link = [], os.symlink

    def noted(target, name):
        link(target, name)
        led.append(os.path.isabs(target))

    monkeypatch.setattr(os, "symlink", noted)
    begin(os.path.join("inner", "study.jsonl"))
    assert led
    assert all(led)


@pytest.mark.parametrize(
    "attribute",
    [{"outcome": []}, {"outcome": "x"}, {"outcome": finished_as(metrics={})},
     {"outcome": finished_as(metrics=NUMBERS | {"flops": "many"})},
     {"outcome": finished_as(metrics=NUMBERS | {"epochs": 10**400})},
     {"outcome": finished_as(metrics=NUMBERS | {"seconds": float("nan")})},
     {"outcome": finished_as(best_epoch=None)}, {"outcome": finished_as(value=True)}, {"verdict": [1]}, {"values": [1]},
     {"verdict": {"epoch": 1, "poor": 1, "attrs": 3}}],
)  # fmt: skip
def test_a_study_with_odd_records_is_damaged(tmp_path, attribute):
    path = tmp_path / "study.jsonl"
    begin(path)
    line = {"op_code": SET_ATTRIBUTE, "worker_id": "x", "trial_id": 0, "user_attr": attribute}
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
    with pytest.raises(RunError, match="study search: damaged: "):
        begin(path)


@pytest.mark.whole
def test_records_that_claim_gigabytes_are_not_read_into_memory(tmp_path):
    study, journal = tmp_path / "study.jsonl", tmp_path / "journal.jsonl"
    begin(study)
    journal.touch()
    for path in (study, journal):
        os.truncate(path, 2**40)
    with pytest.raises(SettingsError, match=r"cannot be opened: .*larger than 500,000,000"):
        begin(study)
    with pytest.raises(RunError, match=r"cannot be read: .*larger than 200,000,000"):
        Journal(journal).read()


def test_a_line_of_brackets_in_a_journal_is_skipped(tmp_path):
    (tmp_path / "journal.jsonl").write_text("[" * 200_000 + '\n{"event": "x"}\n')
    assert Journal(tmp_path / "journal.jsonl").read() == [{"event": "x"}]


def test_the_odd_searches_are_counted(saw, passed):
    odd = passed(test_a_study_with_odd_records_is_damaged)
    odd += passed(test_a_lock_that_leads_elsewhere_is_not_waited_for)
    saw("foreign searches", f"{odd} odd records and locks, each one line or of no effect")
