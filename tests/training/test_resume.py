"""A training that is interrupted ends as one that is not, wherever in it that happens."""

import os
import signal

import keras
import pytest

import kmixer
from interrupted_training import HARD, Signal, build, cut
from kill_and_resume import different
from kmixer.errors import DivergedError, InterruptedRunError, RunError
from kmixer.runs.run import load_run
from kmixer.training.train import checkpoint

pytestmark = [
    pytest.mark.backends,
    pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs POSIX signals"),
]
STEPS = 6  # 100 images, 16 at once


@pytest.fixture(scope="module")
def whole(image_folder, tmp_path_factory):
    """Return a function: (settings) → the run that is left alone, trained once."""
    trained = {}

    def train(settings):
        key = settings.model_dump_json()
        if key not in trained:
            root = tmp_path_factory.mktemp("whole")
            trained[key] = kmixer.train(settings, root=root, name="run", command="kmixer")
        return trained[key].folder

    return kmixer.train


@pytest.mark.parametrize(
    ("epoch", "place", "feed"),
    [
        (0, 0, "host"),
        pytest.param(1, STEPS - 1, "host", marks=pytest.mark.slow),
        (1, "validation", "host"),
        (1, "end", "host"),
        pytest.param(2, 3, "host", marks=pytest.mark.slow),
        pytest.param(2, "end", "host", marks=pytest.mark.slow),
        (1, 2, "accelerator"),
    ],
)
def test_what_is_gone_on_with_is_the_same(tiny, tmp_path, whole, epoch, place, feed):
    settings = build(tiny, *HARD, f"augment.on={feed}")
    run = cut(settings, tmp_path, Signal(epoch, place))
    assert not run.finished
    kmixer.resume(run)
    assert different(whole(settings), run.folder) == []


def test_an_epoch_cut_twice_is_the_same(tiny, tmp_path, whole):
    settings = build(tiny, *HARD)
    run = cut(settings, tmp_path, Signal(1, 1))
    with pytest.raises(InterruptedRunError):
        kmixer.resume(run, callbacks=[Signal(1, 4)])
    kmixer.resume(run)
    assert different(whole(settings), run.folder) == []


@pytest.mark.parametrize(
    "damage", ["flipped", *(pytest.param(d, marks=pytest.mark.slow) for d in ("cut", "gone"))]
)
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tiny, tmp_path, whole, damage):
    settings = build(tiny, *HARD)
    run = cut(settings, tmp_path, Signal(1, 4))
    newest, notes = run.folder / checkpoint.NAME, []
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
    assert different(whole(settings), run.folder) == []


def test_two_damaged_checkpoints_are_refused(tiny, tmp_path):
    run = cut(build(tiny, *HARD), tmp_path, Signal(1, 4))
    for name in (checkpoint.NAME, checkpoint.PREVIOUS):
        os.truncate(run.folder / name, 500)
    with pytest.raises(RunError, match=r"checkpoint\.npz: damaged.*previous\.npz: damaged"):
        kmixer.resume(run)


def test_sigusr1_saves_and_goes_on(tiny, tmp_path, whole):
    settings = build(tiny, *HARD, "training.checkpoint_every=null")
    saved = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 4:
                path = tmp_path / "run" / checkpoint.NAME
                saved.append(path.is_file() and checkpoint.read_position(path).step)

    watchers = [Signal(1, 3, "SIGUSR1"), Look()]
    run = kmixer.train(settings, out=tmp_path / "run", callbacks=watchers, command="kmixer")
    # In the first and third epoch the newest is that of the last epoch's end, if there was one.
    assert saved == [False, 4, 0] and run.finished
    assert different(whole(settings), run.folder) == []


def test_a_second_ctrl_c_ends_at_once(tiny, tmp_path, whole):
    settings = build(tiny, *HARD)
    with pytest.raises(InterruptedRunError, match="at once") as caught:
        kmixer.train(settings, out=tmp_path / "run", callbacks=[Signal(1, 1, times=2)])
    assert caught.value.exit_code == 130
    run = load_run(tmp_path / "run")
    assert not list(run.folder.glob(".*.tmp*"))
    kmixer.resume(run)


@pytest.mark.parametrize(("every", "places"), [(2, [2, 4, 6]), (4, [4, 6]), ("1s", [6])])
def test_checkpoints_come_as_often_as_asked(tiny, tmp_path, monkeypatch, every, places):
    seen = []
    save = checkpoint.save

    def noted(run, model, place):
        seen.append(place.step)
        save(run, model, place)

    monkeypatch.setattr(checkpoint, "save", noted)
    settings = build(tiny, "training.epochs=1", f"training.checkpoint_every={every}")
    kmixer.train(settings, root=tmp_path)
    assert seen == [*places, 0] or (every == "1s" and set(places) <= set(seen))  # a slow machine


def test_the_same_command_goes_on_or_is_done(tiny, tmp_path, whole):
    settings = build(tiny, *HARD)
    cut(settings, tmp_path, Signal(1, 1))
    run = kmixer.train(settings, out=tmp_path / "run", go_on=True, command="kmixer")
    assert different(whole(settings), run.folder) == []
    written = (run.folder / "metrics.json").stat().st_mtime_ns
    kmixer.train(settings, out=tmp_path / "run", go_on=True)
    assert (run.folder / "metrics.json").stat().st_mtime_ns == written
    with pytest.raises(RunError, match=r"begun with training\.epochs 3, received 5; expected the"):
        other = build(tiny, *HARD, "training.epochs=5")
        kmixer.train(other, out=tmp_path / "run", go_on=True)


def test_the_newest_run_of_the_same_settings_is_found(tiny, tmp_path):
    settings, other = (
        build(tiny, "training.epochs=1"),
        build(tiny, "training.epochs=1", "training.seed=1"),
    )
    first = kmixer.train(settings, root=tmp_path, go_on=True)
    second = kmixer.train(other, root=tmp_path, go_on=True)
    assert (first.folder.name, second.folder.name) == ("halves-1", "halves-2")
    assert kmixer.train(settings, root=tmp_path, go_on=True).folder == first.folder


def test_weights_that_are_no_numbers_are_never_a_checkpoint(tiny, tmp_path):
    class Spoil(keras.callbacks.Callback):
        """Spoil the last step's weights, which no loss shows any more."""

        def on_train_batch_begin(self, batch, logs=None):
            if batch == 2:
                head = self.model.get_layer("head").bias
                head.assign(head + float("nan"))

        def on_train_batch_end(self, batch, logs=None):
            assert batch < 2

    settings = build(tiny, "training.checkpoint_every=1")
    with pytest.raises(DivergedError, match=r"is no finite number|the loss is nan"):
        kmixer.train(settings, out=tmp_path / "run", callbacks=[Spoil()])
    place = checkpoint.read_position(tmp_path / "run" / checkpoint.NAME)
    assert place.step == 2
