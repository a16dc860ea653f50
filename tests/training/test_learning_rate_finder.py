"""The learning-rate range test: what it reads off a curve, and on a training."""

import json

import numpy as np
import pytest

import kmixer
from kmixer.errors import DivergedError
from kmixer.training.learning_rate_finder import RangeTest, find_learning_rate, smooth


def test_the_average_is_corrected_for_its_beginning():
    """Of a constant it is that constant from the first step on; a step counts a tenth."""
    assert smooth(np.full(5, 3.0)) == pytest.approx(np.full(5, 3.0))
    one, two = smooth(np.array([1.0, 2.0]))
    assert (one, two) == pytest.approx((1.0, (0.9 * 0.1 * 1 + 0.1 * 2) / (1 - 0.81)))


def test_the_suggestion_is_where_the_curve_falls_fastest():
    """The loss falls in a sigmoid around 1e-3, and rises again from 1e-1 on."""
    rates = np.logspace(-6, 0, 121)
    falling = 2 / (1 + np.exp(3 * (np.log10(rates) + 3)))
    losses = falling + np.maximum(np.log10(rates) + 1, 0) * 5
    found = RangeTest(rates, losses, losses)
    assert found.suggestion == pytest.approx(1e-3)
    assert found.rates[found.least] == pytest.approx(1e-1, rel=0.2)


@pytest.mark.whole
@pytest.mark.backends
def test_a_training_finds_rates_at_which_it_learns(tiny):
    settings = kmixer.build_settings(tiny)
    dataset = kmixer.datasets.load_splits(settings.data)
    seen = []
    found = find_learning_rate(
        settings, dataset, lowest=1e-4, highest=30, steps=60,
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert len(found.rates) == len(found.losses) <= 60 and seen[-1][1] == 60
    assert found.rates[0] == pytest.approx(1e-4) and (np.diff(np.log(found.rates)) > 0).all()
    assert found.smoothed[found.least] < 0.9 * found.smoothed[0]
    assert 1e-4 < found.suggestion < 30


@pytest.mark.whole
def test_rates_at_which_nothing_is_learned_are_told(tiny):
    settings = kmixer.build_settings(tiny)
    dataset = kmixer.datasets.load_splits(settings.data)
    with pytest.raises(DivergedError, match=r"the loss fell at no learning rate from 1\.0e-12"):
        find_learning_rate(settings, dataset, lowest=1e-12, highest=1e-11, steps=20)


@pytest.mark.whole
def test_the_command_draws_it_and_names_a_rate(image_folder, run_command, tmp_path):
    words = ["find-lr", image_folder, "--preset", "photos-mixer", "--hidden-dim", "8", "--blocks",
             "1", "--batch-size", "8", "--no-jit", "--steps", "40", "--highest", "10"]  # fmt: skip
    done = run_command(*words, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (tmp_path / "learning_rate.png").read_bytes().startswith(b"\x89PNG")
    assert f"--learning-rate {found['suggestion']:g}" in done.stderr
    assert len(found["rates"]) == len(found["losses"])


@pytest.mark.parametrize(
    "words", [["--lowest", "1", "--highest", "0.1"], ["--lowest", "0"], ["--steps", "3"],
              ["--out", "nowhere/at/all.png"], ["--optimizer", "adamm"]],
)  # fmt: skip
def test_bad_words_are_one_line(words, run_command, tmp_path):
    done = run_command("find-lr", "fmnist", *words, cwd=tmp_path)
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
