"""`training.precision: auto`: what is measured decides, is told, and leaves no other trace."""

import keras
import pytest
import yaml

import kmixer
from interrupted_training import Signal, cut
from kill_and_resume import different
from kmixer.training import fastest_precision
from kmixer.training.fastest_precision import candidates, measure
from kmixer.training.measured_rates import FILE
from tiny_settings import tiny_settings

pytestmark = pytest.mark.backends


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KMIXER_CACHE", str(tmp_path / "cache"))


def settings(image_folder, **training):
    return kmixer.build_settings(
        tiny_settings(image_folder, training={"precision": "auto"} | training)
    )


def rates_are(monkeypatch, **times):
    """Let a precision be so many times as fast as float32, without measuring it."""
    calls = []

    def measured(given, dataset):
        calls.append(given)
        return {str(c): 1000.0 * times.get(c.precision, 1) for c in candidates(given)}

    monkeypatch.setattr(fastest_precision, "measure", measured)
    return calls


@pytest.mark.whole
@pytest.mark.parametrize(
    ("gain", "precision"), [(2.0, "mixed_bfloat16"), (1.05, "float32"), (0.5, "float32")]
)
def test_the_fastest_is_chosen_told_and_written(
    image_folder, tmp_path, monkeypatch, gain, precision
):
    rates_are(monkeypatch, mixed_bfloat16=gain)
    run = kmixer.train(settings(image_folder), out=tmp_path / "run", verbose=0)
    written = yaml.safe_load((run.folder / "config.yaml").read_text())["training"]
    assert written["precision"] == precision and written["jit"] in (True, False)
    (line,) = (c for c in run.info["choices"] if c.startswith("training.precision"))
    assert line.startswith(f"training.precision {precision}")
    assert "float32" in line and f"{1000 * gain:,.0f} examples/s" in line


@pytest.mark.slow
def test_what_is_measured_leaves_no_trace_in_the_training(image_folder, tmp_path):
    """The run's own config.yaml names a precision, and gives the same weights without measuring."""
    first = kmixer.train(
        settings(image_folder), out=tmp_path / "first", verbose=0, command="kmixer"
    )
    assert (tmp_path / "cache" / FILE).exists()
    again = kmixer.train(first.settings, out=tmp_path / "again", verbose=0, command="kmixer")
    assert "training.precision" not in str(again.info.get("choices"))
    assert different(first.folder, again.folder) == []


@pytest.mark.slow
def test_it_is_measured_once(image_folder, tmp_path, monkeypatch):
    asked = settings(image_folder, epochs=1)
    first = kmixer.train(asked, out=tmp_path / "first", verbose=0)
    monkeypatch.setattr(fastest_precision, "measure", None)
    again = kmixer.train(asked, out=tmp_path / "again", verbose=0)
    assert again.settings.training == first.settings.training
    assert "measured now" in str(first.info["choices"])
    assert "as measured before" in str(again.info["choices"])


@pytest.mark.whole
@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"a": {"float32": -1}}', '{"a": {"x": 1e999}}']
)
def test_a_damaged_memory_is_measured_anew(image_folder, tmp_path, monkeypatch, content):
    calls = rates_are(monkeypatch)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / FILE).write_text(content)
    kmixer.train(settings(image_folder, epochs=1), out=tmp_path / "run", verbose=0)
    assert len(calls) == 1


def test_tensorflow_multiplies_bfloat16_with_xla_and_without(image_folder):
    backend = keras.backend.backend()
    open_jit = settings(image_folder, jit=None, backend=backend)
    compiled = {backend: (True,), "tensorflow": (True, False), "torch": (False,)}[backend]
    float32, *others = candidates(open_jit)
    assert (float32.precision, float32.jit) == ("float32", compiled[0])
    assert [(c.precision, c.jit) for c in others] == [("mixed_bfloat16", jit) for jit in compiled]
    given = [c.jit for c in candidates(settings(image_folder, jit=False, backend=backend))]
    assert given == [False, False]


@pytest.mark.slow
def test_another_model_is_measured_by_itself(image_folder, tmp_path):
    dataset = kmixer.datasets.load_splits(settings(image_folder).data)
    for width in (8, 12):
        asked = settings(image_folder).changed(
            model={"hidden_dim": width},
            data={"mean": [0.5], "std": [0.5]},
            training={"backend": keras.backend.backend()},
        )
        assert fastest_precision.remembered(asked, dataset) is None
        rates = measure(asked, dataset, rounds=1)
        assert fastest_precision.remembered(asked, dataset) == rates
        assert all(rate > 0 for rate in rates.values())


@pytest.mark.slow
def test_an_interrupted_training_goes_on_in_the_chosen_precision(
    image_folder, tmp_path, monkeypatch
):
    rates_are(monkeypatch, mixed_bfloat16=2)
    values = tiny_settings(image_folder, training={"precision": "auto", "epochs": 3})
    asked = kmixer.build_settings(values | {"optimizer": {"name": "muon"}})
    whole = kmixer.train(asked, out=tmp_path / "whole", verbose=0, command="kmixer")
    (tmp_path / "cut").mkdir()
    rates_are(monkeypatch, mixed_bfloat16=0.5)  # would choose otherwise, and is not asked
    run = cut(whole.settings, tmp_path / "cut", Signal(1, 1))
    assert kmixer.resume(run, verbose=0).settings.training.precision == "mixed_bfloat16"
    assert different(whole.folder, run.folder) == []
