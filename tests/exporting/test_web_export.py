"""`--format web`: the page works from a file, is proved in a browser, and is not served."""

import io
import os

import keras
import numpy as np
import pytest
from PIL import Image

from in_process_export import export
from kmixer.errors import SettingsError
from kmixer.evaluation.explanation import explain, look_without_keras
from kmixer.evaluation.images import load_data
from kmixer.exporting import formats, opened_page, support
from kmixer.exporting.browser import Chromium, find_browser
from kmixer.exporting.reference import Reference

if keras.backend.backend() != "tensorflow":
    pytest.skip("a page has no Keras backend", allow_module_level=True)


@pytest.fixture(scope="module")
def web_export(trained_run, tmp_path_factory):
    if find_browser() is None:
        assert not os.environ.get("KMIXER_BROWSER"), "chromium is required"
        pytest.skip("no Chromium on this machine")
    reference = Reference(trained_run, load_data(trained_run))
    return export(reference, "web", "float16", out=tmp_path_factory.mktemp("web"))


@pytest.mark.skipif(os.name != "posix", reason="paths as Chromium on Linux takes them")
def test_the_file_is_a_page_for_a_phone(browser, web_export, image_folder):
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get((web_export.folder / "model.html").as_uri())
    script, find = browser.execute_script, browser.find_element
    first = "return document.querySelector('#classes li span')?.textContent"
    assert find("id", "about").text.startswith("2 classes; the model sees 8×8 grey pixels")
    find("id", "file").send_keys(str(image_folder / "test" / "below" / "003.png"))
    for name in ("below", "above"):
        WebDriverWait(browser, 20).until(lambda _, name=name: script(first) == name)
        find("id", "invert").send_keys(" ")
    assert script("return document.getElementById('seen').naturalWidth") == 8
    assert script("return document.documentElement.scrollWidth") <= 390
    find("id", "ask").click()  # about the empty pad
    WebDriverWait(browser, 20).until(
        lambda _: script("return document.getElementById('seen').naturalWidth") == 8
    )
    assert browser.get_log("browser") == []


@pytest.mark.skipif(os.name != "posix", reason="paths as Chromium on Linux takes them")
def test_the_page_explains_as_python_does(web_export, trained_run):
    """The parts of the tokens in a logit; weights of 16 bits."""
    pixels = np.random.default_rng(0).integers(0, 256, web_export.image_shape, dtype=np.uint8)
    chromium = Chromium(find_browser())
    session = chromium.open((web_export.folder / "model.html").as_uri())
    file = io.BytesIO()
    Image.fromarray(pixels[:, :, 0]).save(file, "PNG")
    content = f"new Blob([Uint8Array.from({[*file.getvalue()]})])"
    classify = f"call('classify', {{file: {content}, invert: false}})"
    ask = f"{classify}.then(({{tokens}}) => call('parts', {{tokens, label: 1}}))"
    parts = chromium.evaluate(session, f"opened.then(() => {ask}).then(parts => [...parts])")
    explained = explain(look_without_keras(trained_run)(pixels), trained_run.class_names, 1).chosen
    expected = explained.parts
    tolerance = 0.02 * np.abs(expected).max()
    assert parts == pytest.approx(expected.ravel(), abs=tolerance)
    heat = chromium.evaluate(session, f"[...heatOf({parts}, about.areas, 8, 8)]")
    assert heat == pytest.approx(explained.heat.ravel(), abs=tolerance)


def test_it_is_proved_and_hardly_larger_than_its_weights(web_export, trained_run):
    proof = web_export.manifest["proof"]
    assert proof["runtime"].startswith("Chromium ") and proof["test_accuracy"]["file"] == 1
    assert list(proof["milliseconds_per_image"]) == ["1 thread"]
    assert web_export.size <= 1.2 * 2 * trained_run.metrics["parameters"] + 100_000
    assert "Open `model.html` in a browser" in (web_export.folder / "README.md").read_text()


def test_it_is_neither_served_nor_predicted_with(run_command, web_export, image_folder):
    image = image_folder / "test" / "below" / "003.png"
    for words in (["serve", web_export.folder], ["predict", web_export.folder, image]):
        done = run_command(*words)
        assert done.returncode == 1 and "opens no exports of format web" in done.stderr
        assert len(done.stderr.splitlines()) == 1


SCRIPT = "<script>new Image().src = 'http://127.0.0.1:9/'</script></body>"


def with_script(artifact, policy=True):
    """Return the contents of an export whose page runs one more script."""
    page = (artifact.folder / "model.html").read_text().replace("</body>", SCRIPT)
    if not policy:
        page = page.replace("content-security-policy", "none")
    return {"model.html": page.encode()}


def test_scripts_that_are_not_ours_run_in_a_sandbox_or_not_at_all(web_export, monkeypatch):
    monkeypatch.setattr(opened_page, "has_sandbox", lambda: False)
    with pytest.raises(ValueError, match="its scripts are not those of this kmixer"):
        formats.WEB.open(with_script(web_export), 1)


def test_a_page_that_asks_for_anything_is_not_proved(web_export, monkeypatch):
    monkeypatch.setattr(opened_page, "is_own", lambda html: True)
    predict, _ = formats.WEB.open(with_script(web_export, policy=False), 1)
    with pytest.raises(ValueError, match="the page asks for http"):
        predict(np.zeros((1, 8, 8, 1), np.uint8))


def test_without_a_browser_it_is_refused_before_anything_is_written(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("CHROME", raising=False)
    with pytest.raises(SettingsError, match="--format: web needs Chromium or Chrome"):
        support.find_format("web")


@pytest.mark.skipif(os.name != "posix", reason="a program of POSIX")
def test_a_browser_that_does_not_start_says_why(tmp_path):
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\necho 'No usable sandbox!' >&2\nexit 7\n")
    program.chmod(0o755)
    with pytest.raises(RuntimeError, match="the browser has ended: No usable sandbox!"):
        Chromium(str(program))
