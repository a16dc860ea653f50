"""A number, a word and a key in settings mean what YAML 1.2 says, wherever they are written."""

import pytest

from kmixer.config import loading, yaml_files
from kmixer.errors import SettingsError
from kmixer.tuning.space.command_line import parse_search
from kmixer.tuning.sweep import parse_grid

FORMS = {
    "010": 10, "08": 8, "0o10": 8, "0x1F": 31, "+12": 12, "-7": -7, "1e3": 1000.0, "1.5E-2": 0.015,
    ".5": 0.5, "5.": 5.0, ".inf": float("inf"), "-.INF": -float("inf"), "true": True, "False": False,
    "null": None, "~": None, "1:30": "1:30", "1:30.5": "1:30.5", "yes": "yes", "No": "No", "on": "on",
    "OFF": "OFF", "y": "y", "1_000": "1_000", "0b1": "0b1", "0x": "0x", "0o8": "0o8", "0X1F": "0X1F",
    "1e": "1e", "e3": "e3", "inf": "inf", "nan": "nan", "2026-11-25": "2026-11-25", "1.2.3": "1.2.3",
    "2026-11-25 10:00:00": "2026-11-25 10:00:00", "=": "=", "'010'": "010", '"1e3"': "1e3",
    "!!str 010": "010", "!!int 010": 10,
}  # fmt: skip


def in_a_file(text, folder):
    (folder / "s.yaml").write_text(f"a:\n  b: {text}\n")
    return yaml_files.read_file(folder / "s.yaml")["a"]["b"]


def in_a_runs_config(text, folder):
    (folder / "config.yaml").write_text(f"a:\n  b: 1\nrun:\n  b: {text}\n")
    return yaml_files.read_file(folder / "config.yaml", keep_run=True)["run"]["b"]


PLACES = {
    "a file": in_a_file,
    "a run's config.yaml": in_a_runs_config,
    "--set": lambda text, folder: loading.parse_assignment(f"a.b={text}")["a"]["b"],
    "--set of a section": lambda text, folder: loading.parse_assignment(f"a={{b: {text}}}")["a"][
        "b"
    ],
    "--grid": lambda text, folder: parse_grid([f"a.b=x,{text}"])["a.b"][1],
    "--search": lambda text, folder: parse_search([f"a.b=x,{text}"])["a.b"][1],
}


@pytest.mark.parametrize("place", PLACES)
def test_every_form_means_the_same_in_every_place(place, tmp_path):
    for text, value in FORMS.items():
        found = PLACES[place](text, tmp_path)
        assert found == value and type(found) is type(value), text


@pytest.mark.parametrize("value", FORMS.values())
def test_what_is_written_is_read_back(value):
    found = yaml_files.parse_yaml(yaml_files.to_yaml({"a": value}), "here")["a"]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "text", ["{b: 1, b: 2}", "[{b: 1, b: 2}]", "{b: {c: {d: 1, d: 1}}}", "{8: 1, 0o10: 2}", "{b: 1, 'b': 2}"]
)  # fmt: skip
@pytest.mark.parametrize("place", [place for place in PLACES if place != "--set of a section"])
def test_a_key_that_comes_twice_is_refused_in_every_place(place, text, tmp_path):
    with pytest.raises(SettingsError, match=r"line \d: received the key '\w+' twice") as caught:
        PLACES[place](text, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("training: {epochs: 1_000}", "training.epochs: received '1_000', expected"),
     ("training: {epochs: 0b11}", "training.epochs: received '0b11', expected"),
     ("training: {checkpoint_every: 1:30}", "received '1:30', expected a time such as"),
     ("training: {jit: yes}", "training.jit: received 'yes', expected true or false"),
     ("optimizer: {learning_rate: .inf}", "optimizer.learning_rate: received inf, expected")],
)  # fmt: skip
def test_a_word_where_a_number_belongs_is_named(text, message):
    with pytest.raises(SettingsError, match=message):
        loading.build_settings(yaml_files.parse_yaml(text, "here"))


def test_a_number_that_cannot_be_written_as_decimals_is_refused():
    text = f"training: {{epochs: 0x{'f' * 100_000}}}"
    with pytest.raises(SettingsError, match="line 1: received a number of 100,002 characters"):
        yaml_files.parse_yaml(text, "here")


def test_as_a_figure(tmp_path, saw):
    right = sum(
        PLACES[place](text, tmp_path) == value for place in PLACES for text, value in FORMS.items()
    )
    assert right == len(PLACES) * len(FORMS)
    saw(
        "settings numbers",
        f"{len(FORMS)} forms in {len(PLACES)} places: {right} of {right} as YAML 1.2 says",
    )
