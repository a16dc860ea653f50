"""`data.batch_size: auto`: the smallest size whose double trains hardly more images a second."""

import keras
import pytest
import yaml

import kmixer
from kill_and_resume import different
from kmixer.errors import SettingsError
from kmixer.training import fastest_batch_size
from tiny_settings import tiny_settings

pytestmark = pytest.mark.backends


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KMIXER_CACHE", str(tmp_path / "cache"))


def settings(image_folder, **training):
    values = {"data": {"batch_size": "auto", "validation_size": 20}, "training": training}
    base = tiny_settings(image_folder)
    return kmixer.build_settings(base, values)


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
def test_the_smallest_fast_one_is_chosen_told_and_written(
    image_folder, tmp_path, monkeypatch, rates, chosen, asked
):
    measured = rates_are(monkeypatch, rates)
    run = kmixer.train(settings(image_folder), out=tmp_path / "run", verbose=0)
    assert measured == asked
    assert yaml.safe_load((run.folder / "config.yaml").read_text())["data"]["batch_size"] == chosen
    (line,) = (c for c in run.info["choices"] if c.startswith("data.batch_size"))
    assert line.startswith(f"data.batch_size {chosen}: 2 100") and "measured now" in line


def test_an_epoch_keeps_eight_steps(image_folder, tmp_path, monkeypatch):
    sizes = (2, 4, 8, 16)  # of 100 training images
    measured = rates_are(monkeypatch, {size: 100 * size for size in sizes}, sizes)
    run = kmixer.train(settings(image_folder), out=tmp_path / "run", verbose=0)
    assert measured == [2, 4, 8] and run.settings.data.batch_size == 8


def test_memory_ends_the_doubling(image_folder, tmp_path, monkeypatch):
    peaks = iter([100, 110, 110, 400, 400, 4000])  # before and after each size
    monkeypatch.setattr(fastest_batch_size, "peak_memory", lambda: next(peaks))
    monkeypatch.setattr(fastest_batch_size, "memory_limit", lambda: 1000)
    measured = rates_are(monkeypatch, {2: 100, 4: 200, 8: 400})
    run = kmixer.train(settings(image_folder), out=tmp_path / "run", verbose=0)
    # 2 images took 10 more, so 4 are expected to take 130 of 800; 4 took 290, so 8 would take 980
    assert measured == [2, 4] and run.settings.data.batch_size == 4


def test_what_is_measured_leaves_no_trace_in_the_training(image_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(fastest_batch_size, "SIZES", (2, 4))
    options = {"verbose": 0, "command": "kmixer"}
    first = kmixer.train(settings(image_folder), out=tmp_path / "first", **options)
    again = kmixer.train(first.settings, out=tmp_path / "again", **options)
    assert different(first.folder, again.folder) == []
    monkeypatch.setattr(fastest_batch_size, "_measure", None)  # it is remembered
    third = kmixer.train(settings(image_folder), out=tmp_path / "third", **options)
    assert "as measured before" in str(third.info["choices"])
    assert third.settings.data.batch_size == first.settings.data.batch_size


def test_another_failure_is_not_taken_for_memory(image_folder, tmp_path, monkeypatch):
    def rate(given, dataset, size):
        raise RuntimeError("something else")

    monkeypatch.setattr(fastest_batch_size, "SIZES", (2,))
    monkeypatch.setattr(fastest_batch_size, "_rate", rate)
    with pytest.raises(RuntimeError, match="something else"):
        kmixer.train(settings(image_folder), out=tmp_path / "run", verbose=0)
    assert not (tmp_path / "run").exists()


def test_on_several_devices_a_number_is_asked_for(image_folder, tmp_path):
    if keras.backend.backend() == "torch":
        pytest.skip("Keras does not distribute on torch")
    with pytest.raises(SettingsError, match=r"data\.batch_size: received auto"):
        asked = settings(image_folder, distribute="auto")
        kmixer.train(asked, out=tmp_path / "run", verbose=0)
