"""The live bar of a training: it says that it compiles, and its time left does not count that."""

import io
from types import SimpleNamespace

import pytest
from kmixer_cli import progress as display
from kmixer_cli.terminal import Terminal
from rich.console import Console

import kmixer


@pytest.fixture
def bar(monkeypatch):
    """A display of ten steps an epoch, and its clock, which the test moves."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(display, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    terminal = Terminal()
    terminal.console = Console(file=io.StringIO(), force_terminal=True, width=120)
    shown = display.TrainingProgress(terminal)
    settings = kmixer.build_settings({"data": {"batch_size": 32}})
    shown.run = SimpleNamespace(settings=settings)
    shown.set_params({"steps": 10, "epochs": 2})
    yield shown, clock
    shown.close()


def _fields(shown):
    task = shown.live.tasks[0]
    return task.description, task.fields["metrics"]


LOGS = {"loss": 1.0, "accuracy": 0.5}


def test_the_first_step_compiles_and_is_not_timed(bar):
    shown, clock = bar
    shown.on_train_begin()
    shown.on_epoch_begin(0)
    assert _fields(shown) == ("compiling", "")
    clock.now += 60
    shown.on_train_batch_end(0, LOGS)
    assert _fields(shown) == ("epoch 1/2", "loss 1.0000  accuracy 50.00 %")  # no rate is known yet
    for batch in (1, 2):
        clock.now += 2
        shown.on_train_batch_end(batch, LOGS)
    # Two steps of 32 images in 4 s; 17 of 20 steps are left, 2 s each.
    assert _fields(shown)[1].endswith("16 examples/s  0:34 left")


def test_the_next_epoch_has_its_own_rate(bar):
    shown, clock = bar
    shown.on_train_begin()
    shown.on_epoch_begin(0)
    for batch in range(10):
        clock.now += 1
        shown.on_train_batch_end(batch, LOGS)
    clock.now += 9  # validation
    shown.on_epoch_begin(1)
    clock.now += 0.5
    shown.on_train_batch_end(0, LOGS)
    title, metrics = _fields(shown)
    # 18.5 s for ten steps after the first one; nine are left.
    assert title == "epoch 2/2" and metrics.endswith("64 examples/s  0:17 left")
