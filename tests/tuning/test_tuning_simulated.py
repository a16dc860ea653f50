"""Every engine and algorithm, killed at any write of its record: the same trials, verdicts, best."""

import keras
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("nothing is computed on a backend", allow_module_level=True)

from kmixer.tuning.engines import keras_tuner_engine
from kmixer.tuning.plan import ENGINES
from simulated_search import Killed, Killer, make_plan, simulate

pytest.importorskip("optuna")

ALGORITHMS = [(engine, tuner) for engine, tuners in ENGINES.items() for tuner in tuners]
SPACE = {
    "model.blocks": [1, 2, 3],
    "optimizer.name": ["adam", "sgd"],
    "optimizer.momentum": {
        "min": 0.5,
        "max": 0.9,
        "step": 0.1,
        "when": {"optimizer.name": ["sgd"]},
    },
}
SMALL = {"model.blocks": [1, 2, 3], "model.hidden_dim": {"min": 8, "max": 32, "step": 8}}


def _is_slow(engine, tuner):
    return (engine, tuner) == ("keras-tuner", "bayesian")  # each draw takes seconds


def _plan(folder, engine, tuner):
    trials = 5 if _is_slow(engine, tuner) else 14
    space = SMALL if _is_slow(engine, tuner) or tuner == "grid" else SPACE
    return make_plan(folder, engine, tuner, space, trials)


def _check(engine, tuner, tmp_path, monkeypatch, most):
    """Kill a search once at each of its writes, or at `most` of them; return how often."""
    monkeypatch.setattr(keras_tuner_engine, "RANDOM_AT_FIRST", 3)
    killer = Killer()
    whole = simulate(_plan(tmp_path / "0" / "s", engine, tuner), monkeypatch, killer)
    writes = killer.count
    points = range(1, writes, max(writes // most, 1) if most else 1)
    for point in points:
        plan, killer = _plan(tmp_path / str(point) / "s", engine, tuner), Killer()
        killer.at, killer.torn = point, point % 2 == 0
        with pytest.raises(Killed):
            simulate(plan, monkeypatch, killer)
        found = simulate(plan, monkeypatch, Killer())
        assert found[0] == whole[0].replace("/0/", f"/{point}/"), point
        assert found[1] == whole[1].replace("/0/", f"/{point}/"), point
    return whole[0], len(points), writes


@pytest.mark.whole
@pytest.mark.parametrize(("engine", "tuner"), ALGORITHMS)
def test_a_search_killed_at_some_writes_finds_the_same(tmp_path, monkeypatch, engine, tuner):
    _check(engine, tuner, tmp_path, monkeypatch, most=2 if _is_slow(engine, tuner) else 12)


@pytest.mark.torture
@pytest.mark.parametrize(("engine", "tuner"), ALGORITHMS)
def test_a_search_killed_at_a_hundred_writes_finds_the_same(
    tmp_path, monkeypatch, saw, engine, tuner
):
    rows, points, writes = _check(engine, tuner, tmp_path, monkeypatch, most=100)
    pruned = rows.count(",pruned,")
    assert bool(pruned) == ((engine, tuner) == ("optuna", "hyperband"))
    saw(
        f"search {engine} {tuner}",
        f"{points} of {points} searches identical, killed at as many of {writes} writes"
        + f"; {pruned} of {rows.count(chr(10)) - 1} trials pruned" * bool(pruned),
    )
