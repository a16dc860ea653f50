"""`--format web`: the page works from a file, is proved in a browser, and is not served."""

import os
import shutil

import keras
import pytest

from in_process_export import export
from kmixer.errors import RunError, SettingsError
from kmixer.evaluation.images import load_data
from kmixer.exporting import formats, support
from kmixer.exporting.artifact import load_artifact
from kmixer.exporting.browser import find_browser
from kmixer.exporting.reference import Reference
from kmixer.files.checksums import checksum

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

    browser.get_log("browser")  # those of other tests
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


def test_it_is_proved_and_hardly_larger_than_its_weights(web_export, trained_run):
    proof = web_export.manifest["proof"]
    assert proof["runtime"].startswith("Chromium ") and proof["test_accuracy"]["file"] == 1
    assert list(proof["milliseconds_per_image"]) == ["1 thread"]
    assert web_export.size <= 1.2 * 2 * trained_run.metrics["parameters"] + 100_000
    assert "open model.html" in (web_export.folder / "README.md").read_text()


@pytest.mark.parametrize("where", ["export", "folder"])
def test_it_is_not_served(run_command, web_export, where):
    path = web_export.folder / ("model.html" if where == "folder" else "")
    done = run_command("serve", path)
    assert done.returncode == 2 and "web is not served: model.html" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def changed(artifact, folder, old, new):
    """Return a copy of an export whose page is changed, its checksum right."""
    shutil.copytree(artifact.folder, folder)
    page = folder / "model.html"
    text = page.read_text()
    assert old in text
    page.write_text(text.replace(old, new))
    copy = load_artifact(folder)
    copy.manifest["files"]["model.html"] = checksum(page)
    return copy


SCRIPT = "<script>new Image().src = 'http://127.0.0.1:9/'</script></body>"


def test_a_strangers_scripts_run_in_a_sandbox_or_not_at_all(web_export, tmp_path, monkeypatch):
    copy = changed(web_export, tmp_path / "web", "</body>", SCRIPT)
    monkeypatch.setattr(formats, "has_sandbox", lambda: False)
    with pytest.raises(RunError, match="its scripts are not those of this kmixer"):
        copy.open()


def test_a_page_that_asks_for_anything_is_refused(web_export, tmp_path, monkeypatch):
    script = "\n</script>\n</body>", f"\n</script>\n{SCRIPT}"
    copy = changed(web_export, tmp_path / "web", *script)
    page = (copy.folder / "model.html").read_text()
    (copy.folder / "model.html").write_text(page.replace("content-security-policy", "refresh-not"))
    copy.manifest["files"]["model.html"] = checksum(copy.folder / "model.html")
    monkeypatch.setattr(formats, "is_own", lambda html: True)
    with pytest.raises(RunError, match="the page asks for http"):
        copy.open()


def test_without_a_browser_it_is_refused_before_anything_is_written(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("CHROME", raising=False)
    with pytest.raises(SettingsError, match="--format: web needs Chromium or Chrome"):
        support.find_format("web")
    assert find_browser() is None
