"""The engines, asked and told without a training: their draws, and that no trial is lost."""

import functools
import itertools
import os
import random
import time
from pathlib import Path

import keras
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("the engines compute nothing", allow_module_level=True)

from kmixer.tuning.engines import keras_tuner_engine
from kmixer.tuning.engines.journal import FILE, Journal
from kmixer.tuning.engines.keras_tuner_engine import ORACLES, KerasTunerEngine, make_oracle
from kmixer.tuning.engines.keras_tuner_roles import ChiefEngine
from kmixer.tuning.plan import ENGINES
from kmixer.tuning.space.space import Space
from kmixer.tuning.trials import FAILED, FINISHED, INFEASIBLE, PRUNED, WAIT, Outcome, counted
from tuning_search import finished

optuna_engine = pytest.importorskip("kmixer.tuning.engines.optuna_engine")

SPACE = Space({
    "model.blocks": [1, 2, 3],
    "optimizer.name": ["adam", "sgd"],
    "optimizer.momentum": {"min": 0.5, "max": 0.9, "step": 0.1, "when": {"optimizer.name": ["sgd"]}},
})  # fmt: skip
FLAT = Space({"model.blocks": [1, 2, 3], "model.hidden_dim": {"min": 8, "max": 32, "step": 8}})


def _value(values):
    return values["model.blocks"] / 4 + 0.1 * values.get("optimizer.momentum", 0)


def _keras_tuner(folder, tuner="random", trials=10, space=SPACE, engine=KerasTunerEngine):
    oracle = make_oracle(space, tuner, "val_accuracy", 0, 9, folder)
    return engine(oracle, space, "val_accuracy", Journal(folder / FILE), trials)


def _optuna(folder, tuner="tpe", trials=10, exclusive=True, space=SPACE):
    return optuna_engine.OptunaEngine(
        space, tuner, "val_accuracy", 0, 9, folder / "study.jsonl", "study", max_trials=trials,
        exclusive=exclusive,
    )  # fmt: skip


def _drive(engine, most=1000):
    """Ask and tell until the end; return the values drawn."""
    drawn = []
    while len(drawn) < most and (trial := engine.ask()) is not None:
        assert trial != "wait"
        drawn.append(trial.values)
        engine.tell(trial, finished(_value(trial.values)))
    return drawn


@pytest.mark.parametrize("tuner", ORACLES)
def test_keras_tuner_goes_on_from_any_point_of_its_journal(tmp_path, tuner, monkeypatch):
    trials, space = 12, SPACE
    if tuner == "bayesian":  # each of its draws after the random ones takes seconds
        monkeypatch.setattr(keras_tuner_engine, "RANDOM_AT_FIRST", 3)
        trials, space = 4, FLAT
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    drawn = _drive(_keras_tuner(whole, tuner, trials, space))
    text = (whole / FILE).read_bytes()
    assert len(drawn) == trials
    ends = [at + 1 for at, byte in enumerate(text) if byte == 10]
    points = (ends[0], ends[4], ends[7] - 5, ends[-2] + 1, len(text))  # whole lines and torn ones
    for at in points[2::2] if tuner == "bayesian" else points:
        cut.mkdir(exist_ok=True)
        (cut / FILE).write_bytes(text[:at])
        engine = _keras_tuner(cut, tuner, trials, space)
        _drive(engine)
        assert [trial.values for trial in engine.all_trials()] == drawn
        assert all(trial.state == FINISHED for trial in engine.all_trials())
        for oracle in cut.rglob("oracle.json"):
            os.truncate(oracle, 10)  # it is written anew


@pytest.mark.parametrize("tuner", ENGINES["optuna"])
def test_optuna_goes_on_and_draws_the_same(tmp_path, tuner):
    space = FLAT if tuner == "grid" else SPACE
    drawn = {}
    for name, parts in (("whole", [12]), ("cut", [3, 1, 12])):
        folder = tmp_path / name
        folder.mkdir()
        for part in parts:
            engine = _optuna(folder, tuner, trials=12, space=space)
            _drive(engine, part)
            if part == 3:
                engine.ask()  # begun, and its process killed
            engine.close()
        engine = _optuna(folder, tuner, trials=12, space=space)
        drawn[name] = [trial.values for trial in engine.all_trials()]
        assert engine.ask() is None
        assert all(trial.state == FINISHED for trial in engine.all_trials())
        engine.close()
    assert drawn["whole"] == drawn["cut"] and len(drawn["whole"]) == 12


def test_a_trial_that_was_not_drawn_whole_changes_nothing(tmp_path):
    drawn = {}
    for name in ("whole", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        engine = _optuna(folder, "random", trials=4)
        _drive(engine, 1)
        if name == "killed":
            engine.study.ask()  # and its process is killed before it has values
        engine.close()
        engine = _optuna(folder, "random", trials=4)
        _drive(engine)
        drawn[name] = [trial.values for trial in engine.all_trials()]
        engine.close()
    assert drawn["whole"] == drawn["killed"] and len(drawn["whole"]) == 4


def test_a_grid_is_shared_without_a_point_twice(tmp_path):
    workers = [_optuna(tmp_path, "grid", trials=100, exclusive=False) for _ in range(2)]
    drawn, running = [], []
    for turn in range(100):
        worker = workers[turn % 2]
        trial = worker.ask()
        if trial is None:
            break
        if trial != WAIT:
            drawn.append(trial.values)
            running.append((worker, trial))
        if running and (turn % 3 or trial == WAIT):
            owner, ended = running.pop(0)
            owner.tell(ended, finished(_value(ended.values)))
    assert drawn == list(SPACE.grid()) and len(drawn) == 3 * (1 + 5)
    for worker in workers:
        worker.close()


def test_a_chief_that_is_started_again_gives_out_what_was_begun(tmp_path):
    engine = _keras_tuner(tmp_path, trials=5)
    _drive(engine, 2)
    begun = engine.ask()
    chief = _keras_tuner(tmp_path, trials=5, engine=ChiefEngine).oracle
    assert not chief.ongoing_trials and not chief.tuner_ids
    given = chief.create_trial("worker")
    assert int(given.trial_id) == begun.number
    assert given.hyperparameters.values == SPACE.point(begun.values)


def test_half_a_line_of_optunas_file_is_ignored(tmp_path):
    engine = _optuna(tmp_path, trials=3)
    _drive(engine, 2)
    engine.close()
    file = tmp_path / "study.jsonl"
    file.write_bytes(file.read_bytes() + b'{"op_code": 4, "trial')
    engine = _optuna(tmp_path, trials=3)
    _drive(engine)
    engine.close()
    assert len(_optuna(tmp_path, trials=3).all_trials()) == 3


def test_a_grid_ends_by_itself_and_holds_every_point_once(tmp_path):
    drawn = _drive(_keras_tuner(tmp_path, "grid", trials=None))
    points = {tuple(values.items()) for values in drawn}
    assert len(drawn) == 3 * (1 + 5) and points == {tuple(p.items()) for p in SPACE.grid()}


def test_hyperband_gives_the_best_more_epochs(tmp_path):
    engine = _keras_tuner(tmp_path, "hyperband", trials=None, space=FLAT)
    _drive(engine)
    epochs = [trial.epochs for trial in engine.all_trials()]
    assert set(epochs) == {1, 3, 9}
    longest = [trial for trial in engine.all_trials() if trial.epochs == 9]
    assert max(_value(trial.values) for trial in longest) == 0.75


def test_failed_and_infeasible_trials_do_not_stop_the_draws(tmp_path, monkeypatch):
    monkeypatch.setattr(keras_tuner_engine, "RANDOM_AT_FIRST", 4)
    space = Space(SPACE.section | {"optimizer.learning_rate": {"min": 1e-3, "max": 0.1}})
    engine = _keras_tuner(tmp_path, "bayesian", trials=4, space=space)
    states = itertools.cycle([FAILED, INFEASIBLE, FINISHED])
    while (trial := engine.ask()) is not None:
        state = next(states)
        is_finished = state == FINISHED
        outcome = finished(_value(trial.values)) if is_finished else Outcome(state, "a reason")
        engine.tell(trial, outcome)
    trials = engine.all_trials()
    assert len(counted(trials)) == 4 < len(trials)


def test_an_extended_space_keeps_what_it_still_holds(tmp_path):
    begun = _drive(_keras_tuner(tmp_path, trials=5))
    wider = Space(SPACE.section | {"model.blocks": [2, 3, 4]})
    engine = _keras_tuner(tmp_path, trials=9, space=wider)
    drawn = _drive(engine)
    assert [trial.values for trial in engine.all_trials()] == begun + drawn and len(drawn) == 4
    assert all(wider.holds(values) for values in drawn)


def test_a_silent_workers_trial_is_drawn_again_by_another(tmp_path, monkeypatch):
    monkeypatch.setattr(optuna_engine, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(optuna_engine, "LEASE_SECONDS", 0.5)
    dying, living = (_optuna(tmp_path, trials=3, exclusive=False) for _ in range(2))
    lost = dying.ask()
    dying.close()
    drawn = []
    for _ in range(400):
        trial = living.ask()
        if trial is None:
            break
        if trial == "wait":
            living._stop.wait(0.05)
            continue
        drawn.append(trial.values)
        living.tell(trial, finished(_value(trial.values)))
    trials = living.all_trials()
    assert lost.values in drawn and len(drawn) == 3
    assert [trial.state for trial in trials] == [FINISHED] * 3
    dying.tell(lost, finished(1.0))  # too late: it is the other's
    assert [trial.values for trial in living.all_trials()] == [trial.values for trial in trials]
    living.close()


def test_what_is_drawn_after_a_lost_trial_is_new(tmp_path, monkeypatch):
    monkeypatch.setattr(optuna_engine, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(optuna_engine, "LEASE_SECONDS", 0.3)
    space = Space({"optimizer.learning_rate": {"min": 1e-4, "max": 0.1, "log": True}})
    dying, living = (_optuna(tmp_path, "random", 6, exclusive=False, space=space) for _ in range(2))
    dying.ask()
    trial = living.ask()
    dying.close()
    deadline = time.monotonic() + 60
    while living._read().lost() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    drawn = []
    while trial is not None:
        drawn.append(trial.values["optimizer.learning_rate"])
        living.tell(trial, finished(0.5))
        trial = living.ask()
    living.close()
    assert len(drawn) == len(set(drawn)) == 6


def test_a_trial_lost_when_others_filled_the_search_is_not_waited_for(tmp_path):
    """As `--trials 3` of one worker and 2 of the others, or a limit that was raised for a while."""
    losing, filling = (_optuna(tmp_path, trials=most, exclusive=False) for most in (2, 3))
    lost, kept, extra = losing.ask(), losing.ask(), filling.ask()
    losing.release(lost)
    losing.tell(kept, finished(0.5))
    filling.tell(extra, finished(0.6))
    assert losing.ask() is None
    again = filling.ask()  # of three it is one
    assert again.values == lost.values
    filling.tell(again, finished(0.7))
    assert filling.ask() is None
    for worker in (losing, filling):
        worker.close()


@pytest.mark.parametrize("tuner", ["random", "grid"])
def test_a_trial_that_is_lost_while_another_worker_asks(tmp_path, tuner, monkeypatch):
    losing, asking = (_optuna(tmp_path, tuner, 2, exclusive=False, space=FLAT) for _ in range(2))
    lost, kept = losing.ask(), losing.ask()
    losing.tell(kept, finished(0.5))
    read = asking.study.get_trials

    def read_and_lose(*arguments, **options):
        trials = read(*arguments, **options)
        if lost.number in losing._running:
            losing.release(lost)  # after this reading, before the next
        return trials

    monkeypatch.setattr(asking.study, "get_trials", read_and_lose)
    assert asking.ask() == WAIT  # it was running when the study was read
    again = asking.ask()
    assert again.values == lost.values
    asking.tell(again, finished(0.6))
    assert asking.ask() is None
    for worker in (losing, asking):
        worker.close()


@pytest.mark.parametrize("seed", range(12))
def test_a_search_whose_workers_lose_trials_at_any_moment_ends(tmp_path, seed, monkeypatch):
    chance = random.Random(seed)
    tuner, most = chance.choice(["random", "tpe", "grid"]), chance.choice([1, 3, 6, 8])
    workers = [_optuna(tmp_path, tuner, most, exclusive=False, space=FLAT) for _ in range(3)]
    running, losses = [], chance.randint(1, 6)

    def lose(read, *arguments, **options):
        nonlocal losses
        trials = read(*arguments, **options)
        if running and losses and chance.random() < 0.1:
            losses -= 1
            worker, trial = running.pop()
            worker.release(trial)
        return trials

    for worker in workers:
        read = functools.partial(lose, worker.study.get_trials)
        monkeypatch.setattr(worker.study, "get_trials", read)
    for _ in range(500):
        worker = chance.choice(workers)
        if running and (len(running) == 4 or chance.random() < 0.5):
            owner, trial = running.pop(0)
            owner.tell(trial, finished(_value(trial.values)))
            continue
        answer = worker.ask()
        if answer is None:
            break
        if answer != WAIT:
            running.append((worker, answer))
    assert answer is None and not running
    assert len(counted(worker.all_trials())) == most
    for worker in workers:
        worker.close()


def test_two_workers_do_not_train_more_than_was_asked_for(tmp_path):
    workers = [_optuna(tmp_path, trials=3, exclusive=False) for _ in range(2)]
    open_trials = [worker.ask() for worker in workers] + [workers[0].ask()]
    assert workers[1].ask() == "wait"  # one of the three may still fail
    for worker, trial in zip([*workers, workers[0]], open_trials, strict=True):
        worker.tell(trial, finished(_value(trial.values)))
    assert [worker.ask() for worker in workers] == [None, None]
    for worker in workers:
        worker.close()


def test_hyperband_prunes_poor_trials_early(tmp_path):
    engine = _optuna(tmp_path, "hyperband", trials=30)
    stopped = 0
    while (trial := engine.ask()) is not None:
        for epoch in range(1, 10):
            if engine.report(trial, epoch, _value(trial.values) * epoch / 9):
                stopped += 1
                engine.tell(trial, Outcome(PRUNED, "pruned", 0.1, epoch))
                break
        else:
            engine.tell(trial, finished(_value(trial.values)))
    engine.close()
    assert stopped and len(counted(engine.all_trials())) == 30


def test_a_journal_survives_half_a_line(tmp_path):
    journal = Journal(Path(tmp_path) / FILE)
    journal.append(event="a", value=1)
    with journal.path.open("ab") as file:
        file.write(b'{"event": "b", "val')
    journal.append(event="c", value=3)
    assert [event["event"] for event in journal.read()] == ["a", "c"]
