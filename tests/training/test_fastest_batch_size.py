"""`data.batch_size: auto`: the smallest size whose double trains hardly more images a second."""

import keras
import pytest
import yaml

import kmixer
from kill_and_resume import different
from kmixer.errors import SettingsError
from kmixer.training import fastest_batch_size
from kmixer.training.fastest_batch_size import choose_batch_size
from tiny_settings import tiny_settings

pytestmark = pytest.mark.backends


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KMIXER_CACHE", str(tmp_path / "cache"))


def settings(image_folder, **training):
    values = {"data": {"batch_size": "auto", "validation_size": 20}, "training": training}
    base = tiny_settings(image_folder)
    return kmixer.build_settings(base, values)


def choose(image_folder, **training):
    """Return the chosen size, and the line that tells of it."""
    asked = settings(image_folder, **training)
    asked = asked.changed(training={"backend": keras.backend.backend()})
    found, (line,) = choose_batch_size(asked, kmixer.datasets.load_splits(asked.data))
    return found.data.batch_size, line


def rates_are(monkeypatch, rates, sizes=(2, 4, 8)):
    """Let a size train so many images a second; more images than a size's are out of memory."""
    measured = []

    def rate(given, dataset, size):
        measured.append(size)
        if size not in rates:
            raise MemoryError("no room")
        return float(rates[size])

    monkeypatch.setattr(fastest_batch_size, "SIZES", sizes)
    monkeypatch.setattr(fastest_batch_size, "_rate", rate)
    return measured


@pytest.mark.parametrize(
    ("rates", "chosen", "asked"),
    [
        ({2: 100, 4: 150, 8: 200}, 8, [2, 4, 8]),
        ({2: 100, 4: 150, 8: 156}, 4, [2, 4, 8]),  # 4 % more
        ({2: 100, 4: 104, 8: 900}, 2, [2, 4]),  # what comes after too small a gain is not asked
        ({2: 100, 4: 150}, 4, [2, 4, 8]),  # 8 are out of memory
        ({2: 100}, 2, [2, 4]),
    ],
)
def test_the_smallest_fast_one_is_chosen_and_told(image_folder, monkeypatch, rates, chosen, asked):
    measured = rates_are(monkeypatch, rates)
    size, line = choose(image_folder)
    assert measured == asked and size == chosen
    assert line.startswith(f"data.batch_size {chosen}: 2 100") and "measured now" in line


def test_an_epoch_keeps_eight_steps(image_folder, monkeypatch):
    sizes = (2, 4, 8, 16)  # of 100 training images
    measured = rates_are(monkeypatch, {size: 100 * size for size in sizes}, sizes)
    assert choose(image_folder)[0] == 8 and measured == [2, 4, 8]


def test_memory_ends_the_doubling(image_folder, monkeypatch):
    peaks = iter([100, 110, 110, 400, 400, 4000])  # before and after each size
    monkeypatch.setattr(fastest_batch_size, "peak_memory", lambda: next(peaks))
    monkeypatch.setattr(fastest_batch_size, "memory_limit", lambda: 1000)
    measured = rates_are(monkeypatch, {2: 100, 4: 200, 8: 400})
    # 2 images took 10 more, so 4 are expected to take 130 of 800; 4 took 290, so 8 would take 980
    assert choose(image_folder)[0] == 4 and measured == [2, 4]


@pytest.mark.slow
def test_what_is_measured_leaves_no_trace_in_the_training(image_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(fastest_batch_size, "SIZES", (2, 4))
    options = {"verbose": 0, "command": "kmixer"}
    first = kmixer.train(settings(image_folder, epochs=1), out=tmp_path / "first", **options)
    again = kmixer.train(first.settings, out=tmp_path / "again", **options)
    assert different(first.folder, again.folder) == []
    written = yaml.safe_load((first.folder / "config.yaml").read_text())["data"]["batch_size"]
    assert written in (2, 4) and "data.batch_size" in str(first.info["choices"])
    monkeypatch.setattr(fastest_batch_size, "_measure", None)  # it is remembered
    size, line = choose(image_folder, epochs=1)
    assert size == written and "as measured before" in line


def test_another_failure_is_not_taken_for_memory(image_folder, tmp_path, monkeypatch):
    def rate(given, dataset, size):
        raise RuntimeError("something else")

    monkeypatch.setattr(fastest_batch_size, "SIZES", (2,))
    monkeypatch.setattr(fastest_batch_size, "_rate", rate)
    with pytest.raises(RuntimeError, match="something else"):
        kmixer.train(settings(image_folder, epochs=1), out=tmp_path / "run", verbose=0)
    assert not (tmp_path / "run").exists()


def test_on_several_devices_a_number_is_asked_for(image_folder, tmp_path):
    if keras.backend.backend() == "torch":
        pytest.skip("Keras does not distribute on torch")
    with pytest.raises(SettingsError, match=r"data\.batch_size: received auto"):
        asked = settings(image_folder, distribute="auto")
        kmixer.train(asked, out=tmp_path / "run", verbose=0)
