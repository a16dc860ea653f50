"""Checkpoints whose content was changed, with every checksum right: each is refused or set aside."""

import copy
import json
import random
import shutil
import signal
import zipfile

import keras
import numpy as np
import pytest

from interrupted_training import HARD, Signal, build, cut
from kmixer.data import load_splits
from kmixer.errors import RunError
from kmixer.files.seal import seal
from kmixer.runs.run import load_run
from kmixer.training import checkpoint
from kmixer.training.initial_model import initial_model
from kmixer.training.optimizer import compile_model
from tiny_settings import tiny_settings

pytestmark = [
    pytest.mark.backends,
    pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs POSIX signals"),
]
STEPS = 6
RANDOM = 400  # mutations in the slow test


@pytest.fixture(scope="module")
def interrupted(image_folder, tmp_path_factory):
    """A run that uses whatever a checkpoint holds, cut in its second epoch after some steps."""
    settings = build(tiny_settings(image_folder), *HARD)
    return cut(settings, tmp_path_factory.mktemp("cut"), Signal(1, 4)).folder


@pytest.fixture(scope="module")
def resumes(interrupted, tmp_path_factory):
    """A function: what the newest checkpoint is replaced with → the position that is gone on from."""
    run = load_run(shutil.copytree(interrupted, tmp_path_factory.mktemp("resumed") / "run"))
    dataset = load_splits(run.settings.data)
    model = initial_model(run.settings, dataset, resumes=True)
    compile_model(model, run.settings, STEPS)
    newest, previous = (run.folder / f"checkpoint{name}.npz" for name in ("", ".previous"))
    kept = previous.read_bytes()

    def resume(state, arrays, alone=False):
        write(newest, state, arrays)
        previous.write_bytes(kept)
        if alone:
            previous.unlink()
        return checkpoint.load(run, model, model, STEPS)[0]

    return resume


def read(folder):
    with np.load(folder / "checkpoint.npz") as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(arrays.pop("state").tobytes()), arrays


def write(path, state, arrays):
    content = state if isinstance(state, bytes) else json.dumps(state).encode()
    np.savez(path, state=np.frombuffer(content, np.uint8), **arrays)
    seal(path)


def at(*keys, value):
    """Return a mutation that puts a value into the state."""

    def mutate(state, arrays):
        for key in keys[:-1]:
            state = state[key]
        state[keys[-1]] = value

    return mutate


def array(name, change):
    def mutate(state, arrays):
        arrays[name] = change(arrays[name])

    return mutate


def without(name):
    return lambda state, arrays: arrays.pop(name)


NAN, INFINITE = float("nan"), float("inf")
ROW = {"epoch": 2, "seconds": 1.0, "examples_per_second": 1.0, "learning_rate": 0.1, "loss": 1.0,
       "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5}  # fmt: skip
STATES = {
    "a step of 10⁹": at("step", value=10**9),
    "a step before the first": at("step", value=-1),
    "a step as text": at("step", value="4"),
    "a step as a float": at("step", value=4.0),
    "a step as a truth": at("step", value=True),
    "a step that is not the optimizer's": at("step", value=2),
    "no step": lambda state, arrays: state.pop("step"),
    "seconds before zero": at("seconds", value=-5),
    "no number of seconds": at("seconds", value=NAN),
    "endless seconds": at("seconds", value=INFINITE),
    "no rows": at("rows", value=[]),
    "rows as a dict": at("rows", value={}),
    "a row as a list": at("rows", value=[[1, 2]]),
    "a row without loss": lambda state, arrays: state["rows"][0].pop("loss"),
    "a row with more": at("rows", 0, "more", value=1),
    "an accuracy of 7": at("rows", 0, "val_accuracy", value=7),
    "a loss as text": at("rows", 0, "val_loss", value="0.1"),
    "a loss that is none": at("rows", 0, "val_loss", value=NAN),
    "an epoch of another number": at("rows", 0, "epoch", value=3),
    "a learning rate below 0": at("rows", 0, "learning_rate", value=-1.0),
    "more rows than epochs": lambda state, arrays: state["rows"].extend(
        ROW | {"epoch": n} for n in range(2, 9)
    ),
    "a million rows": lambda state, arrays: state["rows"].extend([ROW] * 10_000),
    "counters as a list": at("counters", value=[]),
    "no counters": at("counters", value={}),
    "counters of a stranger": at("counters", "Stranger", value={}),
    "a counter as text": at("counters", "EarlyStopping", "wait", value="0"),
    "a counter below 0": at("counters", "EarlyStopping", "wait", value=-3),
    "a counter of 10⁹": at("counters", "ReduceLROnPlateau", "wait", value=10**9),
    "a best that no epoch had": at("counters", "EarlyStopping", "best", value=0.123),
    "a best that is none": at("counters", "EarlyStopping", "best", value=NAN),
    "stopped, which it is not": at("counters", "EarlyStopping", "stopped_epoch", value=1),
    "no wait": lambda state, arrays: state["counters"]["EarlyStopping"].pop("wait"),
    "logs as a list": at("logs", value=[1]),
    "no logs": at("logs", value={}),
    "a loss that is text in the logs": at("logs", "loss", value="x"),
    "format 99": at("format", value=99),
    "no format": lambda state, arrays: state.pop("format"),
    "no settings": lambda state, arrays: state.pop("settings"),
    "settings as a list": at("settings", value=[]),
    "another seed": at("settings", "training.seed", value=1),
    "other images": at("data_sha256", value="0" * 64),
    "no model's checksum": at("model_sha256", value=None),
    "an unknown key": at("unknown", value=1),
    "the state of a format 2": lambda state, arrays: [
        state.pop(key) for key in ("format", "settings", "data_sha256", "model_sha256")
    ] and state.update(note=5),
    "an array too few": without("v0"),
    "a metric too few": without("m0"),
    "a best weight too few": without("b0"),
    "an array too many": lambda state, arrays: arrays.update(v10000=np.zeros(3)),
    "another array": lambda state, arrays: arrays.update(other=np.zeros(3)),
    "a weight that is none": array("v0", lambda a: np.full_like(a, NAN)),
    "a weight of 64 bits": array("v0", lambda a: a.astype("float64")),
    "a weight of whole numbers": array("v0", lambda a: a.astype("int32")),
    "a weight as text": array("v0", lambda a: np.full(a.shape, "x")),
    "a weight of another shape": array("v0", lambda a: a.reshape(-1)),
    "a weight that is turned": array("v0", lambda a: np.moveaxis(a, -1, 0)),
    "a best weight that is none": array("b0", lambda a: np.full_like(a, INFINITE)),
    "a metric that is a row": array("m0", lambda a: np.zeros(7, "float32")),
    "a huge array": array("v1", lambda a: np.zeros(3_000_000, "float32")),
}  # fmt: skip
CONTENTS = {
    "no JSON": b"{",
    "no text": b"\xff\xfe",
    "nothing": b"",
    "a number": b"5",
    "a list": b"[]",
    "a deep list": b"[" * 100_000,
    "a long number": b'{"format": 3, "step": ' + b"9" * 10_000 + b"}",
    "null": b"null",
}


def indices(folder, kind, ndim):
    """Return the number of each variable of a kind of numbers and of so many axes."""
    _, arrays = read(folder)
    return [n for n, a in arrays.items() if n[0] == "v" and a.dtype.kind in kind and a.ndim == ndim]


@pytest.mark.parametrize("name", [*STATES, *CONTENTS])
def test_a_mutated_checkpoint_is_set_aside_or_refused(interrupted, resumes, name):
    state, arrays = read(interrupted)
    if name in CONTENTS:
        state = CONTENTS[name]
    else:
        STATES[name](state, arrays)
    position = resumes(state, arrays)
    assert position.file == "checkpoint.previous.npz"
    assert "going on from checkpoint.previous.npz" in position.note and "\n" not in position.note
    with pytest.raises(RunError) as caught:
        resumes(state, arrays, alone=True)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_seeds_and_steps_of_another_kind_are_refused(interrupted, resumes):
    """The states of random numbers are rows of whole numbers, the optimizer's steps one number."""
    state, arrays = read(interrupted)
    seeds, steps = indices(interrupted, "iu", 1), indices(interrupted, "iu", 0)
    assert steps and (seeds or keras.backend.backend() == "torch")
    changes = [(name, arrays[name][:1]) for name in seeds]
    changes += [(name, arrays[name].astype("float32")) for name in [*seeds, *steps]]
    changes += [(name, arrays[name] + 10**9) for name in steps]
    changes += [(name, -arrays[name]) for name in steps]
    for name, changed in changes:
        position = resumes(state, arrays | {name: changed})
        assert position.file == "checkpoint.previous.npz", (name, changed)


def test_what_was_not_changed_is_gone_on_with(interrupted, resumes):
    position = resumes(*read(interrupted))
    assert position.file == "checkpoint.npz" and position.note is None and position.step == 5


@pytest.mark.slow
def test_random_mutations_end_in_one_line(interrupted, resumes, saw):
    generator, state_and_arrays = random.Random(0), read(interrupted)
    went_on = as_it_was = 0
    for _ in range(RANDOM):
        state, arrays = copy.deepcopy(state_and_arrays)
        mutate(state, arrays, generator)
        position = resumes(state, arrays)  # an internal error fails the test
        went_on += position.file == "checkpoint.previous.npz"
        as_it_was += position.file == "checkpoint.npz"
    named = len(STATES) + len(CONTENTS)
    assert went_on > 0.8 * RANDOM
    saw("mutated checkpoints", f"{RANDOM + named} mutated states: 0 internal errors, 0 endless;"
        f" {went_on + named} went on from the previous checkpoint, {as_it_was} differ in what only a"
        " measurement or a plausible number says")  # fmt: skip


VALUES = [
    None,
    True,
    -1,
    0,
    1,
    10**9,
    10**400,
    0.5,
    NAN,
    INFINITE,
    "x",
    "1",
    [],
    {},
    [[1]],
    {"a": 1},
]


ARRAYS = [
    lambda a: a.reshape(-1)[:-1], lambda a: a.astype("complex64"), lambda a: a.astype(bool),
    lambda a: np.stack([a, a]), lambda a: a.astype("float16"), lambda a: a.astype("U3"),
]  # fmt: skip


def mutate(state, arrays, generator):
    """Change one thing: a value of the state, a key of it, or an array."""
    if generator.random() < 0.3:
        name = generator.choice(sorted(arrays))
        with np.errstate(all="ignore"):
            arrays[name] = generator.choice(ARRAYS)(arrays[name])
        return
    place, key = generator.choice(list(places(state)))
    if generator.random() < 0.3:
        del place[key]
    else:
        place[key] = generator.choice(VALUES)


def places(value):
    """Yield (container, key) of everything in nested dicts and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        yield value, key
        if isinstance(inner, dict | list):
            yield from places(inner)


@pytest.mark.parametrize("where", [0.05, 0.3, 0.5, 0.7, 0.95, 0.999])
def test_a_byte_that_changes_anywhere_is_noticed(interrupted, tmp_path, where):
    """In what stands between the arrays too, where the archive has no checksums of its own."""
    from kmixer.files.seal import is_sealed

    path = shutil.copy(interrupted / "checkpoint.npz", tmp_path / "x.npz")
    content = bytearray(path.read_bytes())
    assert is_sealed(path) and zipfile.is_zipfile(path)
    content[int(where * len(content))] ^= 1
    path.write_bytes(content)
    assert not is_sealed(path)
