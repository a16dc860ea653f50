"""The search space: what can be written, what is refused, what is drawn."""

import random

import pytest

from kmixer.config import Settings, loading, presets
from kmixer.errors import SettingsError
from kmixer.tuning.space.command_line import parse_search
from kmixer.tuning.space.space import Space, with_default

CONDITIONAL = {
    "optimizer.learning_rate": [
        {"min": 1e-3, "max": 1e-2, "log": True, "when": {"optimizer.name": ["adamw"]}},
        {"min": 0.01, "max": 0.1, "when": {"optimizer.name": ["muon", "sgd"]}},
    ],
    "optimizer.nesterov": {"choice": [True, False], "when": {"optimizer.name": ["sgd"]}},
    "optimizer.name": ["adamw", "muon", "sgd"],
}


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("model.blocks=1,2,4", [1, 2, 4]),
        ("model.blocks=1..8", {"min": 1, "max": 8}),
        ("model.hidden_dim=64..256:64", {"min": 64, "max": 256, "step": 64}),
        ("optimizer.learning_rate=1e-4..1e-2:log", {"min": 1e-4, "max": 1e-2, "log": True}),
        ("model.dropout=0..0.3", {"min": 0, "max": 0.3}),
        ("augment.rand_augment=null,{}", [None, {}]),
        ("model.blocks={choice: [1, 2]}", {"choice": [1, 2]}),
        ("schedule.name=cosine,constant", ["cosine", "constant"]),
    ],
)
def test_search_texts(text, parsed):
    assert parse_search([text]) == {text.partition("=")[0]: parsed}
    Space(parse_search([text])).check(Settings())


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["model.blcks=1,2"], r"search.model.blcks: no such setting \(nearest: 'model.blocks'"),
        (["model.blocks="], "--search: received 'model.blocks='"),
        (["model.blocks=1", "model.blocks=2"], "received model.blocks twice"),
        (["model.blocks=8..1"], "search.model.blocks: received 8..1, expected the smaller one first"),
        (["model.blocks=[]"], "no valid point has model.blocks="),
        (["model.blocks={choice: []}"], "received an empty choice"),
        (["model.blocks={chice: [1]}"], r"search.model.blocks.chice: no such setting \(nearest: 'choice'"),
        (["model.blocks={choice: [1], min: 2}"], "received a choice and a range"),
        (["model.blocks={min: 2}"], "received no whole range"),
        (["model.blocks=a..b"], "expected min..max"),
        (["model.blocks=1..8:9"], "received step 9"),
        (["model.blocks=abc"], "no valid point has model.blocks=abc: model.blocks: received 'abc'"),
        (["optimizer.learning_rate=0..1:log"], "expected a range above 0"),
        (["optimizer.momentum={choice: [0.9], when: {optimizer.name: [sgd]}}"], "is not searched"),
        (["search=1,2"], "search.search: no such setting"),
        (["schedule.warmup_epochs=100,200"], "no valid point has schedule.warmup_epochs=100"),
    ],
)  # fmt: skip
def test_what_is_refused(texts, message):
    with pytest.raises(SettingsError, match=message) as caught:
        Space(parse_search(texts)).check(Settings())
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2


@pytest.mark.parametrize("wanted", [[], ["adamx"], ["adam", "lion"]])
def test_a_condition_that_cannot_hold_is_refused(wanted):
    when = {"optimizer.name": wanted}
    section = {"optimizer.name": ["adam", "sgd"], "model.blocks": {"choice": [1], "when": when}}
    with pytest.raises(SettingsError, match=r"when\.optimizer\.name: received"):
        Space(section)


def test_steps_reach_the_end_of_a_range():
    floats = Space({"model.dropout": {"min": 0.1, "max": 0.3, "step": 0.1}}).searched[0].parameter
    assert floats.points == [0.1, 0.2, 0.3] and floats.holds(0.3) and not floats.holds(0.25)
    whole = Space({"model.blocks": {"min": 2, "max": 9, "step": 3}}).searched[0].parameter
    assert list(whole.points) == [2, 5, 8] and not whole.holds(9)


def test_a_circle_of_conditions_is_refused():
    circle = {
        "model.blocks": {"choice": [1], "when": {"model.hidden_dim": [8]}},
        "model.hidden_dim": {"choice": [8], "when": {"model.blocks": [1]}},
    }
    with pytest.raises(SettingsError, match="in a circle"):
        Space(circle)


def test_conditions_decide_what_is_drawn_and_from_where():
    space, generator = Space(CONDITIONAL), random.Random(0)
    seen = set()
    for _ in range(60):
        values = space.random(generator)
        name, rate = values["optimizer.name"], values["optimizer.learning_rate"]
        assert (rate <= 0.01) if name == "adamw" else (rate >= 0.01)
        assert ("optimizer.nesterov" in values) == (name == "sgd")
        assert space.holds(values)
        chosen = space.settings(Settings(), values)
        assert (chosen.optimizer.name, chosen.optimizer.learning_rate) == (name, rate)
        seen.add(name)
    assert seen == {"adamw", "muon", "sgd"}
    assert not space.holds({"optimizer.name": "adam", "optimizer.learning_rate": 0.005})
    assert not space.holds({"optimizer.name": "adamw"})


@pytest.mark.parametrize("preset", presets.preset_names())
def test_the_shipped_space_is_valid_from_every_preset(preset):
    base = with_default(loading.build_settings(presets.read_preset(preset)))
    space = Space(base.search)
    space.check(base)
    values = space.random(random.Random(0))
    assert space.settings(base, values).model.blocks == values["model.blocks"]


def test_a_points_codes_read_back():
    space = Space({"augment.rand_augment": [None, {}, {"magnitude": 3}], "model.blocks": [1, 2]})
    values = {"augment.rand_augment": {"magnitude": 3}, "model.blocks": 2}
    assert space.point(values) == {"augment.rand_augment": '{"magnitude": 3}', "model.blocks": 2}
    assert space.decode(space.point(values)) == values


@pytest.mark.parametrize(
    ("choice", "codes"),
    [
        ([1, 2], [1, 2]),
        ([0, 0.1], [0.0, 0.1]),
        (["a", "b"], ["a", "b"]),
        ([True, False], ["true", "false"]),
        ([None, {}], ["null", "{}"]),
    ],
)
def test_codes_are_what_every_engine_can_hold(choice, codes):
    parameter = Space({"model.blocks": choice}).searched[0].parameter
    assert parameter.codes == codes and list(map(type, parameter.codes)) == list(map(type, codes))
    assert [parameter.decode(code) for code in codes] == choice
