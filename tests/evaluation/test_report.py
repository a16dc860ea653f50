"""The HTML report, opened in a browser as its reader does."""

import base64
import re
import shutil

import numpy as np
import pytest

from changed_run import changed_run
from kmixer.errors import RunError
from kmixer.evaluation import comparison, figures, report

PARTS = ("Curves", "Per class, on the test set", "Calibration", "Confusion matrix", "Worst mistakes",
         "Token mixing")  # fmt: skip


@pytest.fixture(scope="module")
def runs(trained_run, tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    data = {"resize_size": 12, "crop_size": 12}  # nine patches, not four
    shift_mlp = {
        "name": "shift_mlp",
        "stages": [{"patch_size": 2, "dim": 9, "mlp_dim": 9, "blocks": 1}],
    }
    changed_run(trained_run, root / "a", data=data)
    changed_run(trained_run, root / "<b>", data=data, model=shift_mlp)
    return comparison.find_runs([root / "a", root / "<b>"])


@pytest.fixture(scope="module")
def pages(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    report.write_report(runs[:1], folder / "one.html")
    report.write_report(runs, folder / "two.html")
    return folder


def test_the_page_holds_every_part_and_refers_to_nothing_outside(pages):
    page = (pages / "one.html").read_text()
    for part in PARTS:
        assert f"<h3>{part}</h3>" in page
    assert "hidden_dim: 8" in page and 'class="problem"' not in page
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert addresses and all(a.startswith(("data:", "#")) for a in addresses)
    assert "<script" not in page


def test_figures_in_the_page_are_the_runs_own(pages, runs):
    page, metrics = (pages / "one.html").read_text(), runs[0].metrics
    assert f"<b>{100 * metrics['best']['test']['accuracy']:.2f}&nbsp;%</b>" in page
    assert f"<b>{metrics['parameters']:,}</b>" in page


@pytest.mark.whole
def test_numbers_that_stand_for_names_on_pictures_have_a_legend(runs, tmp_path, monkeypatch, pages):
    monkeypatch.setattr(report, "numbered", lambda names, *_: {"#2": f"<{names[1]}>"})
    report.write_report(runs, tmp_path / "two.html")
    page = (tmp_path / "two.html").read_text()
    assert page.count("#2 = <bdi>&lt;below&gt;</bdi>") == 2  # of both runs' classes
    assert "#2 = <bdi>&lt;&lt;b&gt;&gt;</bdi>" in page  # of the runs
    assert 'class="mute legend"' not in (pages / "two.html").read_text()


def test_names_are_escaped_and_a_model_without_token_mixing_has_no_such_part(pages):
    page = (pages / "two.html").read_text()
    assert "&lt;b&gt;" in page and "<b></a>" not in page
    assert page.count("<h3>Token mixing</h3>") == 1
    assert "2 runs compared" in page and page.count("<section") == 2


def test_each_mistake_has_a_map_of_both_classes(pages):
    """The picture once, and over it two maps."""
    page = (pages / "one.html").read_text()
    pictures = re.findall(r'<figure style="--shape:12/12;--seen:url\(data:image/png', page)
    maps = re.findall(
        r'aria-label="what speaks for and against (\w+)" style="--map:url\(data:', page
    )
    assert len(pictures) > 5 and len(maps) == 2 * len(pictures)
    assert set(maps) == {"above", "below"}


def test_token_mixing_tiles_are_the_units_strongest_first():
    """Four patches, two units: the second is larger, so it is the left tile, scaled to 1."""
    kernel = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.5, -4.0]])
    board = figures.token_mixing(kernel, (2, 2), "t").axes[0].images[0].get_array().filled(9)
    assert board.tolist() == [[0, 0, 9, 1, 0], [0, -1, 9, 0, 0.5]]


def test_svg_is_a_picture():
    rows = [{"epoch": 1, "loss": 1, "val_loss": 1, "accuracy": 0, "val_accuracy": 0,
             "learning_rate": 1}]  # fmt: skip
    for figure in figures.curve_panels(rows).values():
        head, data = figures.as_svg(figure).split(",")
        assert head == "data:image/svg+xml;base64" and b"<svg" in base64.b64decode(data)


@pytest.mark.whole
def test_report_command(run_command, runs, tmp_path):
    done = run_command("report", runs[0].folder, "--out", tmp_path / "r.html")
    assert done.returncode == 0 and done.stderr == ""
    assert "<h3>Curves</h3>" in (tmp_path / "r.html").read_text()
    refused = run_command("report", tmp_path, "--out", tmp_path / "no.html")
    assert refused.returncode == 1 and "holds no finished run" in refused.stderr


def test_what_cannot_be_measured_is_said_and_the_rest_is_there(runs, tmp_path):
    copy = shutil.copytree(runs[0].folder, tmp_path / "copy")
    (copy / "model.keras").unlink()
    report.write_report(comparison.find_runs([copy]), tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "model.keras: missing" in page and "<h3>Curves</h3>" in page
    assert "<h3>Confusion matrix</h3>" not in page


@pytest.mark.whole
def test_a_report_on_other_images_says_so(runs, tmp_path):
    copy = shutil.copytree(runs[0].folder, tmp_path / "copy")
    config = copy / "config.yaml"
    config.write_text(re.sub(r"data_sha256: .*", "data_sha256: other", config.read_text()))
    report.write_report(comparison.find_runs([copy]), tmp_path / "r.html")
    assert "halves has changed since the training" in (tmp_path / "r.html").read_text()


@pytest.mark.whole
def test_color_images_that_are_not_square_and_many_classes(trained_run, tmp_path):
    from PIL import Image

    generator = np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 2)):
        for label in range(12):
            folder = tmp_path / "images" / split / f"class {label:02}"
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 256, (8, 12, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    run = changed_run(
        trained_run, tmp_path / "run", class_names=[f"class {label:02}" for label in range(12)],
        input_shape=(8, 8, 3),  # a folder's images are cropped to squares
        data={"name": str(tmp_path / "images"), "validation_size": 12, "image_size": None,
              "mean": [0.5] * 3, "std": [0.3] * 3},
        model={"tokens_mlp_dim": 70},
    )  # fmt: skip
    report.write_report([run], tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "Block 1: 64 of 70 units" in page and "class 11" in page and "Most frequent: " in page


def test_the_most_frequent_confusions_by_hand():
    matrix = np.array([[5, 2, 0], [0, 9, 3], [0, 0, 1]])
    assert report._most_confused(matrix, ("a", "b", "c")) == [("b", "c", 3), ("a", "b", 2)]


def test_nothing_is_measured_for_a_file_that_cannot_be_written(runs, tmp_path):
    with pytest.raises(RunError, match="cannot be written"):
        report.write_report(runs, tmp_path / "absent" / "r.html", progress=pytest.fail)


@pytest.mark.parametrize("name", ["one.html", "two.html"])
def test_a_phone_shows_it_whole(browser, pages, name):
    browser.get((pages / name).as_uri())
    script = browser.execute_script
    headings = script("return [...document.querySelectorAll('h3')].map(e => e.textContent)")
    assert set(headings) == set(PARTS)
    pictures = script("return [...document.images].map(e => e.complete && e.naturalWidth > 0)")
    assert len(pictures) > 4 and all(pictures)
    assert script("return document.querySelectorAll('.maps span').length") > 8  # the mistakes
    assert script("return document.querySelector('.settings').textContent").startswith("data:")
    assert script("return performance.getEntriesByType('resource')"
                  ".filter(e => !e.name.startsWith('data:')).length") == 0  # fmt: skip
    assert script("return document.documentElement.scrollWidth") <= 390
    assert script("return parseFloat(getComputedStyle(document.body).fontSize)") >= 16
    assert not browser.get_log("browser")
