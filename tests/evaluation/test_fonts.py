"""Class names in scripts that Matplotlib's own font lacks."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure

from kmixer.errors import KmixerWarning
from kmixer.evaluation import figures, fonts

NAMES, NUMBERED = ["日本", "кошка", "語", "straße"], ["#1", "кошка", "#3", "straße"]
SCRIPTS = ["猫 cat", "日本語", "한국어", "قطة", "חתול", "हिन्दी", "ไทย", "😀", "👩\u200d🔬", "🇩🇪"]


@pytest.fixture
def installed(monkeypatch):
    """A function that says which characters the only other font has."""

    def have(characters):
        fonts._fonts_for.cache_clear()
        fonts._warn.cache_clear()
        family = {"STIXGeneral": frozenset(map(ord, characters))}
        monkeypatch.setattr(fonts, "_installed", lambda: family)

    yield have
    fonts._fonts_for.cache_clear()


def test_names_that_no_font_has_are_numbered_and_told(installed, tmp_path):
    installed("日")
    with pytest.warns(KmixerWarning, match="#1 = 日本, #3 = 語"):
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


@pytest.mark.parametrize("some", [True, False], ids=["the fonts that are here", "no other font"])
def test_no_script_is_shown_as_boxes(installed, monkeypatch, tmp_path, some):
    if not some:
        installed("")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Matplotlib's on a missing glyph
        warnings.simplefilter("ignore", KmixerWarning)
        matrix = figures.confusion_matrix(np.eye(len(SCRIPTS), dtype=int), SCRIPTS)
        figures.save(matrix, tmp_path / "matrix.png")
        figure = Figure()
        figure.suptitle(f"train {' '.join(SCRIPTS)}", family="monospace")
        figures.save(figure, tmp_path / "title.png")
    assert all((tmp_path / name).stat().st_size > 3000 for name in ("matrix.png", "title.png"))


def test_a_word_that_its_own_font_has_is_written_in_joined_letters():
    assert fonts.drawable(["قطة", "3"]) == ["قطة", "3"]
    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    widths = []
    for word in ("قطة", "ق\u200cط\u200cة"):  # joined, and kept apart
        font.set_text(word)
        widths.append(font.get_width_height()[0])
    assert widths[0] < widths[1]


def test_code_falls_back_to_the_font_of_other_texts(installed):
    installed("")
    figure = Figure()
    title = figure.suptitle("./חתול ./кошка", family="monospace")
    fonts._installed()["DejaVu Sans"] = fonts._characters(font_manager.findfont("DejaVu Sans"))
    fonts.choose_fonts(figure)
    assert title.get_text() == "./חתול ./кошка" and title.get_fontfamily()[-1] == "DejaVu Sans"


def test_a_font_is_found_that_was_installed_after_matplotlib_listed_them(monkeypatch, tmp_path):
    manager, new, broken = font_manager.fontManager, tmp_path / "new.ttf", tmp_path / "broken.ttf"
    new.write_bytes(Path(font_manager.findfont("STIXGeneral")).read_bytes())
    broken.write_bytes(b"no font")
    monkeypatch.setattr(manager, "ttflist", list(manager.ttflist))
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(new), str(broken)])
    fonts._add_new_fonts()
    assert str(new) in [entry.fname for entry in manager.ttflist]


def test_more_names_than_a_warning_holds_are_numbered_as_in_labels_txt(installed):
    installed("")
    with pytest.warns(KmixerWarning, match=r"of 30 names; .* labels.txt counts .*#20 = 日19, …"):
        names = fonts.drawable([f"日{i}" for i in range(30)])
    assert names == [f"#{i}" for i in range(1, 31)]
