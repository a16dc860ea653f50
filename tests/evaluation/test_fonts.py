"""Class names in scripts that Matplotlib's own font lacks."""

import numpy as np
import pytest

from kmixer.errors import KmixerWarning
from kmixer.evaluation import figures, fonts

NAMES, NUMBERED = ["日本", "кошка", "語", "straße"], ["1", "кошка", "3", "straße"]


@pytest.fixture
def installed(monkeypatch):
    """A function that says which characters the only other font has."""

    def have(characters):
        fonts._fonts_for.cache_clear()
        family = {"STIXGeneral": frozenset(map(ord, characters))}
        monkeypatch.setattr(fonts, "_installed", lambda: family)

    yield have
    fonts._fonts_for.cache_clear()


def test_names_that_no_font_has_are_numbered_and_told(installed, tmp_path):
    installed("日")
    with pytest.warns(KmixerWarning, match="1: 日本, 3: 語"):
        matrix = figures.confusion_matrix(np.eye(4, dtype=int), NAMES)
    assert [label.get_text() for label in matrix.axes[0].get_yticklabels()] == NUMBERED
    figures.save(matrix, tmp_path / "matrix.png")  # without a warning of Matplotlib's


def test_an_installed_font_is_used_for_what_the_own_one_lacks(installed):
    installed("日本語")
    matrix = figures.confusion_matrix(np.eye(4, dtype=int), NAMES)
    fonts.choose_fonts(matrix)
    families = {t.get_text(): t.get_fontfamily() for t in matrix.axes[0].get_yticklabels()}
    assert families["日本"][-1] == "STIXGeneral" and "STIXGeneral" not in families["кошка"]


def test_other_texts_have_a_question_mark_for_what_no_font_has(installed, tmp_path):
    installed("")
    figure = figures.images([np.zeros((4, 4, 1), np.uint8)], ["日 said 1"], columns=1)
    figures.save(figure, tmp_path / "images.png")
    assert figure.axes[0].get_title() == "? said 1"
