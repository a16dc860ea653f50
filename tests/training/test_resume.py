"""A training that is interrupted ends as one that is not, wherever in it that happens."""

import os
import shutil
import signal

import keras
import pytest

import kmixer
from interrupted_training import HARD, Signal, build, cut
from kill_and_resume import different
from kmixer.errors import DivergedError, InterruptedRunError, RunError
from kmixer.runs.run import CHECKPOINT_FILE, PREVIOUS_CHECKPOINT_FILE, Run, load_run
from kmixer.runs.signals import StopRequest
from kmixer.training import checkpoint
from kmixer.training.callbacks.saving import WriteRun
from tiny_settings import tiny_settings

pytestmark = [
    pytest.mark.backends,
    pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs POSIX signals"),
]
STEPS = 6  # 100 images, 16 at once


@pytest.fixture(scope="module")
def hard(image_folder):
    """Settings that use whatever a checkpoint has to hold."""
    return build(tiny_settings(image_folder), *HARD)


@pytest.fixture(scope="module")
def whole(hard, tmp_path_factory):
    """The folder of the run that nothing interrupts."""
    return kmixer.train(hard, out=tmp_path_factory.mktemp("whole") / "run", command="kmixer").folder


@pytest.fixture(scope="module")
def cut_once(hard, tmp_path_factory):
    """The folder of a run that was interrupted in its second epoch, after two steps."""
    return cut(hard, tmp_path_factory.mktemp("cut-once"), Signal(1, 1)).folder


@pytest.fixture(scope="module")
def cut_twice(cut_once, tmp_path_factory):
    """The folder of that run, resumed and interrupted again after three more steps."""
    run = _copy(cut_once, tmp_path_factory.mktemp("cut-twice"))
    with pytest.raises(InterruptedRunError):
        kmixer.resume(run, callbacks=[Signal(1, 4)])
    return run.folder


def _copy(folder, target):
    return load_run(shutil.copytree(folder, target / "run"))


@pytest.mark.whole
@pytest.mark.parametrize(
    ("epoch", "moment"),
    [
        (0, 0),
        pytest.param(1, STEPS - 1, marks=pytest.mark.slow),
        (1, "validation"),
        pytest.param(1, "end", marks=pytest.mark.slow),
        pytest.param(2, 3, marks=pytest.mark.slow),
        pytest.param(2, "end", marks=pytest.mark.slow),
    ],
)
def test_a_resumed_run_is_the_same(hard, tmp_path, whole, epoch, moment):
    run = cut(hard, tmp_path, Signal(epoch, moment))
    assert not run.finished
    kmixer.resume(run)
    assert different(whole, run.folder) == []


@pytest.mark.whole
def test_a_run_whose_images_lie_on_the_accelerator_is_the_same(hard, tmp_path):
    settings = hard.changed(augment={"on": "accelerator"}, training={"epochs": 1})
    run = cut(settings, tmp_path, Signal(0, 2))
    kmixer.resume(run)
    whole = kmixer.train(settings, out=tmp_path / "whole", command="kmixer")
    assert different(whole.folder, run.folder) == []


@pytest.mark.whole
def test_an_epoch_cut_twice_is_the_same(cut_twice, tmp_path, whole):
    run = _copy(cut_twice, tmp_path)
    kmixer.resume(run)
    assert different(whole, run.folder) == []


@pytest.mark.whole
@pytest.mark.parametrize(
    "damage", ["flipped", *(pytest.param(d, marks=pytest.mark.slow) for d in ("cut", "gone"))]
)
def test_a_damaged_checkpoint_falls_back_to_the_one_before(cut_twice, tmp_path, whole, damage):
    run = _copy(cut_twice, tmp_path)
    newest, notes = run.folder / CHECKPOINT_FILE, []
    if damage == "cut":
        os.truncate(newest, newest.stat().st_size // 2)
    elif damage == "flipped":
        content = bytearray(newest.read_bytes())
        content[len(content) // 3] ^= 1
        newest.write_bytes(content)
    else:
        newest.unlink()
    kmixer.resume(run, on_start=lambda run, dataset, model, position: notes.append(position.note))
    if damage != "gone":
        assert "damaged" in notes[0] and "going on from checkpoint.previous.npz" in notes[0]
    assert different(whole, run.folder) == []


def test_two_damaged_checkpoints_are_refused(cut_twice, tmp_path):
    run = _copy(cut_twice, tmp_path)
    for name in (CHECKPOINT_FILE, PREVIOUS_CHECKPOINT_FILE):
        os.truncate(run.folder / name, 500)
    with pytest.raises(RunError, match=r"checkpoint\.npz: damaged.*previous\.npz: damaged"):
        kmixer.resume(run)


@pytest.mark.whole
def test_sigusr1_saves_and_the_training_continues(hard, tmp_path, whole):
    settings = hard.changed(training={"checkpoint_every": None})
    saved = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 4:
                path = tmp_path / "run" / CHECKPOINT_FILE
                saved.append(path.is_file() and checkpoint.read_position(path).step)

    callbacks = [Signal(1, 3, "SIGUSR1"), Look()]
    run = kmixer.train(settings, out=tmp_path / "run", callbacks=callbacks, command="kmixer")
    # In the first and third epoch the newest is that of the last epoch's end, if there was one.
    assert saved == [False, 4, 0] and run.finished
    assert different(whole, run.folder) == []  # how often it saves changes nothing


@pytest.mark.whole
def test_a_second_ctrl_c_ends_at_once(hard, tmp_path):
    with pytest.raises(InterruptedRunError, match="at once") as caught:
        kmixer.train(hard, out=tmp_path / "run", callbacks=[Signal(0, 1, times=2)])
    assert caught.value.exit_code == 130
    run = load_run(tmp_path / "run")
    assert not list(run.folder.glob(".*.tmp*"))
    with pytest.raises(InterruptedRunError):  # it can be resumed
        kmixer.resume(run, callbacks=[Signal(0, 1)])


@pytest.mark.parametrize(("every", "expected"), [(2, [2, 4, 6]), (4, [4, 6]), ("1s", [3, 6])])
def test_checkpoints_come_as_often_as_asked(hard, tmp_path, monkeypatch, every, expected):
    """Steps take 0.4 s here: the third is the first whose end is a second after the beginning."""
    steps = []
    monkeypatch.setattr(
        checkpoint, "save", lambda run, model, position: steps.append(position.step)
    )
    run = Run(tmp_path, hard.changed(training={"checkpoint_every": every}), {})
    write = WriteRun(run, None, checkpoint.Position(), STEPS, StopRequest(), [], [], 0.0)
    write.on_epoch_begin(0)
    for step in range(STEPS):
        now = write.epoch_began + 0.4 * (step + 1)
        monkeypatch.setattr("time.perf_counter", lambda now=now: now)
        write.on_train_batch_end(step, {"loss": 1.0})
    assert steps == expected


def test_the_same_command_resumes_or_is_done(hard, cut_once, tmp_path, whole):
    run = _copy(cut_once, tmp_path)
    out = run.folder
    assert different(whole, kmixer.train(hard, out=out, go_on=True, command="kmixer").folder) == []
    written = (out / "metrics.json").stat().st_mtime_ns
    kmixer.train(hard, out=out, go_on=True)
    assert (out / "metrics.json").stat().st_mtime_ns == written
    with pytest.raises(RunError, match=r"begun with training\.epochs 3, received 5; expected the"):
        kmixer.train(hard.changed(training={"epochs": 5}), out=out, go_on=True)


@pytest.mark.whole
def test_strict_goes_on_where_everything_holds_and_refuses_where_it_does_not(cut_once, tmp_path):
    run = _copy(cut_once, tmp_path)
    with pytest.raises(InterruptedRunError):
        kmixer.resume(run, strict=True, callbacks=[Signal(1, 3)])
    config, notes = run.folder / "config.yaml", []
    config.write_text(config.read_text().replace(f"keras: {keras.__version__}", "keras: 3.0.0"))
    before = config.read_text()
    line = rf"keras 3\.0\.0 → {keras.__version__}.*may differ in the last bits"
    with pytest.raises(RunError, match=line):
        kmixer.resume(load_run(run.folder), strict=True)
    assert config.read_text() == before
    with pytest.raises(InterruptedRunError):
        kmixer.resume(
            load_run(run.folder), callbacks=[Signal(1, 4)],
            on_start=lambda run, dataset, model, position: notes.extend(position.notes),
        )  # fmt: skip
    assert "keras 3.0.0 → " in notes[0]
    resumed = load_run(run.folder).info
    assert resumed["versions"]["keras"] == "3.0.0"
    assert resumed["resumed"][0]["versions"]["keras"] == keras.__version__


@pytest.mark.whole
def test_the_same_command_reads_each_image_once(hard, cut_once, tmp_path, monkeypatch):
    """Devices are looked for and images are hashed once, whether a run is found or not."""
    from kmixer.data import Dataset
    from kmixer.training import distribution

    calls = []
    for owner, name in ((Dataset, "fingerprint"), (distribution, "find_devices")):
        original = getattr(owner, name)

        def counted(*arguments, original=original, name=name):
            calls.append(name)
            return original(*arguments)

        monkeypatch.setattr(owner, name, counted)
    run = _copy(cut_once, tmp_path)
    with pytest.raises(InterruptedRunError):
        kmixer.train(hard, out=run.folder, go_on=True, callbacks=[Signal(1, 2)])
    assert sorted(calls) == ["find_devices", "fingerprint"]


def test_the_newest_run_of_the_same_settings_is_found(hard, whole, tmp_path):
    for name, seed in (("halves-1", 0), ("halves-2", 0), ("halves-3", 1)):
        config = shutil.copytree(whole, tmp_path / name) / "config.yaml"
        config.write_text(config.read_text().replace("  seed: 0", f"  seed: {seed}"))
    for name, seed in (("halves-2", 0), ("halves-3", 1)):
        settings = hard.changed(training={"seed": seed})
        assert kmixer.train(settings, root=tmp_path, go_on=True).folder.name == name


def test_weights_that_are_not_finite_are_never_a_checkpoint(tiny, tmp_path):
    class Spoil(keras.callbacks.Callback):
        """Spoil the last step's weights, which no loss shows any more."""

        def on_train_batch_begin(self, batch, logs=None):
            if batch == 2:
                head = self.model.get_layer("head").bias
                head.assign(head + float("nan"))

        def on_train_batch_end(self, batch, logs=None):
            assert batch < 2

    settings = build(tiny, "training.checkpoint_every=1")
    with pytest.raises(DivergedError, match=r"a weight is not finite|the loss is nan"):
        kmixer.train(settings, out=tmp_path / "run", callbacks=[Spoil()])
    position = checkpoint.read_position(tmp_path / "run" / CHECKPOINT_FILE)
    assert position.step == 2
