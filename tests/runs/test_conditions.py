"""The conditions of a run: recorded, compared when it is resumed, both named afterwards."""

import copy

import keras
import pytest
import yaml

import kmixer
from kmixer.errors import RunError
from kmixer.runs import conditions
from kmixer.runs.run import FORMAT, Run, create_run, load_run
from kmixer.training.callbacks.printing import start_lines
from kmixer.training.checkpoint_state import Position
from tiny_settings import tiny_settings

BACKEND = keras.backend.backend()


@pytest.fixture
def begun(tmp_path):
    """A run that was begun here and now."""
    settings = kmixer.build_settings(tiny_settings("halves", training={"backend": BACKEND}))
    info = {
        "command": "kmixer", "preset": None, "dataset": "halves", "input_shape": [8, 8, 1],
        **conditions.present_stretch(settings),
    }  # fmt: skip
    return create_run(settings, info, ["above", "below"], root=tmp_path, stem="run")


def elsewhere(run, *keys, value):
    """Return the stretch of another machine: this one's with another value."""
    stretch = copy.deepcopy({key: run.info[key] for key in ("versions", "device", "conditions")})
    place = stretch
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return stretch


OTHERS = {
    "threads": (("conditions", "threads"), 63, "threads .* → 63"),
    "vendor": (("conditions", "vendor"), "GenuineIntel", "vendor .* → GenuineIntel"),
    "instructions": (("conditions", "instructions"), "avx avx2 fma amx_tile", "\\+amx_tile"),
    "cache": (("conditions", "cache"), "1 KB", "cache .* → 1 KB"),
    "system": (("conditions", "system"), "Darwin arm64", "→ Darwin arm64"),
    "precision": (("conditions", "precision"), "mixed_bfloat16", "float32 → mixed_bfloat16"),
    "backend": (("conditions", "backend"), "other", "→ other"),
    "determinism": (("conditions", "libraries", "deterministic"), "other", "deterministic"),
    "environment": (("conditions", "environment", "OMP_NUM_THREADS"), "3", "none → 3"),
    "GPU": (("conditions", "accelerators"), ["H100"], "H100"),
    "device": (("device",), "NVIDIA H100", "device .* → NVIDIA H100"),
    "Python": (("versions", "python"), "3.99.0", "python .* → 3.99.0"),
    "Keras": (("versions", "keras"), "9.0", "keras .* → 9.0"),
    "backend's version": (("versions", BACKEND), "9.0", f"{BACKEND} .* → 9.0"),
    "NumPy": (("versions", "numpy"), "9.0", "numpy .* → 9.0"),
    "Pillow": (("versions", "pillow"), "9.0", "pillow .* → 9.0"),
    "kmixer": (("versions", "kmixer"), "9.0", "kmixer .* → 9.0"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_each_condition_that_does_not_hold_is_named_in_one_line(begun, name):
    keys, value, message = OTHERS[name]
    now = elsewhere(begun, *keys, value=value)
    with pytest.raises(RunError, match=message) as caught:
        conditions.check_conditions(begun, now)
    assert "\n" not in str(caught.value) and "may differ in the last bits" in str(caught.value)
    resumed = load_run(conditions.record_stretch(begun, now).folder)
    assert conditions.resumed_elsewhere(resumed) and len(resumed.info["resumed"]) == 1
    assert conditions.record_stretch(resumed, now).info == resumed.info  # told once


def test_a_package_that_the_backend_does_not_use_is_no_condition(begun):
    other = next(name for name in ("torch", "jax") if name != BACKEND)
    conditions.check_conditions(begun, elsewhere(begun, "versions", other, value="9.0"))


def test_here_and_now_everything_holds(begun):
    now = conditions.present_stretch(begun.settings)
    config = begun.folder / "config.yaml"
    before = config.read_text()
    conditions.check_conditions(begun, now)
    assert conditions.record_stretch(begun, now) is begun and config.read_text() == before
    assert conditions.resumed_elsewhere(begun) == []


def test_what_is_printed_names_both_stretches(begun):
    keys = ("versions", "keras")
    resumed = conditions.record_stretch(begun, elsewhere(begun, *keys, value="9.0"))

    class Nothing:
        name, splits, image_shape, class_names, notes = "halves", {}, (8, 8, 1), (), ()
        count_params = staticmethod(lambda: 0)

    lines = "\n".join(start_lines(resumed, Nothing(), Nothing(), Position()))
    assert f"under Keras {keras.__version__}, then {BACKEND}" in lines and "Keras 9.0" in lines
    moved = conditions.record_stretch(begun, elsewhere(begun, "device", value="NVIDIA H100"))
    assert conditions.devices(moved.info) == f"{begun.info['device']}, then NVIDIA H100"


def test_a_run_that_comes_home_is_still_no_whole_one(begun):
    """Its first and last stretch agree, but between them it was elsewhere."""
    there = conditions.record_stretch(begun, elsewhere(begun, "device", value="NVIDIA H100"))
    home = conditions.present_stretch(begun.settings)
    with pytest.raises(RunError, match="NVIDIA H100"):
        conditions.check_conditions(there, home)
    assert len(conditions.record_stretch(there, home).info["resumed"]) == 2


def test_a_run_that_recorded_nothing_says_so(begun):
    info = {key: value for key, value in begun.info.items() if key != "conditions"}
    old = Run(begun.folder, begun.settings, info | {"format": 2})
    now = conditions.present_stretch(begun.settings)
    with pytest.raises(RunError, match="threads and processor were not recorded"):
        conditions.check_conditions(old, now)
    assert conditions.record_stretch(old, now).info["format"] == FORMAT


@pytest.mark.parametrize("odd", [None, 5, "x", [5], [None, "x"], {"a": 1}, [{"versions": 5}]])
@pytest.mark.parametrize("key", ["resumed", "conditions", "versions"])
def test_an_odd_record_ends_in_one_line_or_says_nothing(begun, key, odd):
    path = begun.folder / "config.yaml"
    values = yaml.safe_load(path.read_text())
    values["run"][key] = odd
    path.write_text(yaml.safe_dump(values))
    run = load_run(begun.folder)
    now = conditions.present_stretch(run.settings)
    if key != "resumed":
        with pytest.raises(RunError, match="other conditions"):
            conditions.check_conditions(run, now)
    conditions.record_stretch(run, now)
    assert conditions.libraries(run.info, BACKEND) and conditions.devices(run.info)


def test_a_variable_that_names_a_file_is_not_recorded(begun, monkeypatch):
    flags = "--xla_dump_to=/home/me/x --xla_cpu_multi_thread_eigen=false"
    monkeypatch.setenv("XLA_FLAGS", flags)
    stretch = conditions.present_stretch(begun.settings)
    environment = stretch["conditions"]["environment"]
    assert environment["XLA_FLAGS"] == "--xla_cpu_multi_thread_eigen=false"


def test_the_conditions_are_counted(saw, passed):
    named = passed(test_each_condition_that_does_not_hold_is_named_in_one_line)
    saw("conditions", f"{named} of {len(OTHERS)} conditions named, and refused by --strict;"
        " those that hold say nothing")  # fmt: skip
