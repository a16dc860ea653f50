"""The server as a process: it needs no Keras, stops gracefully, and shows its page in a browser."""

import base64
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from PIL import Image

if keras.backend.backend() != "tensorflow":
    pytest.skip("a server has no Keras backend", allow_module_level=True)
pytest.importorskip("fastapi")

from kmixer_cli.subprocesses import export_to_tflite

import kmixer
from kmixer.errors import RunError, SettingsError
from kmixer.exporting.artifact import load_artifact
from kmixer.serving import selection
from tiny_settings import tiny_settings

WAITING = "\nkmixer_waiting_images 1.0\n"


@pytest.fixture(scope="module")
def image_file(image_folder):
    return image_folder / "test" / "below" / "003.png"


class Server:
    """`kmixer serve` as a process of its own, which cannot import Keras."""

    def __init__(self, folder, *options):
        code = (
            "import sys; sys.modules['keras'] = None; from kmixer_cli.main import main;"
            " main(sys.argv[1:])"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", code, "serve", str(folder), "--port", "0", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        lines = []
        while "Ctrl-C" not in "".join(lines[-1:]):
            lines.append(self.process.stdout.readline())
            assert lines[-1], self.process.stderr.read()
        self.address = next(
            line.split()[1].rstrip("/") for line in lines if line.startswith("page")
        )

    def post(self, path, content):
        with urllib.request.urlopen(self.address + path, data=content, timeout=30) as answer:
            return json.load(answer)

    def get(self, path):
        with urllib.request.urlopen(self.address + path, timeout=30) as answer:
            return answer.read().decode()

    def stop(self, number=signal.SIGTERM):
        """Stop the server; return its exit code and what it wrote on stderr."""
        self.process.send_signal(number)
        _, stderr = self.process.communicate(timeout=60)
        return self.process.returncode, stderr


@pytest.fixture(scope="module")
def server(tflite_export):
    running = Server(tflite_export.folder, "--name", "halves")
    yield running
    running.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def colour_server(image_folder, tmp_path_factory):
    """A server of `halves` as a model of colours, which sees the grey images in three channels."""
    settings = tiny_settings(
        image_folder, data={"channels": 3}, optimizer={"learning_rate": 0.02}, training={"epochs": 6}
    )  # fmt: skip
    run = kmixer.train(kmixer.build_settings(settings), root=tmp_path_factory.mktemp("colour"))
    running = Server(run.folder)  # which exports it first
    yield running
    running.stop(signal.SIGKILL)


def test_the_server_needs_no_keras_and_answers_requests_in_flight_when_it_stops(
    tflite_export, image_file
):
    server = Server(
        tflite_export.folder, "--name", "halves", "--batch-wait", "1000", "--max-batch", "8"
    )
    with ThreadPoolExecutor(1) as pool:
        for _ in range(20):  # a slow machine may look only after the answer
            answer = pool.submit(server.post, "/classify", image_file.read_bytes())
            while not (waiting := WAITING in server.get("/metrics")) and not answer.done():
                pass
            if waiting:  # for other requests to join it
                break
        assert waiting
        code, stderr = server.stop()
        assert answer.result(60)["classes"][0]["class"] == "below"
    assert code in (0, -signal.SIGTERM, 143) and "Traceback" not in stderr
    with pytest.raises(urllib.error.URLError):
        server.post("/classify", image_file.read_bytes())


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl on this machine")
@pytest.mark.parametrize("how", [["-F", "file=@{}"], ["--data-binary", "@{}"]], ids=["form", "raw"])
def test_curl_sends_an_image_as_a_form_or_as_it_is(server, image_file, how):
    words = [word.format(image_file) for word in how]
    done = subprocess.run(
        ["curl", "-sS", "--noproxy", "*", *words, f"{server.address}/classify"],
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    assert json.loads(done.stdout) == server.post("/classify", image_file.read_bytes())


def test_a_port_that_is_taken_is_reported_in_one_line(run_command, server, tflite_export):
    port = server.address.rsplit(":")[-1]
    done = run_command("serve", tflite_export.folder, "--port", port)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"kmixer: 127.0.0.1:{port}: Address already in use; choose another --port or --host"
    )


@pytest.mark.whole
def test_a_run_without_an_export_is_exported_once(trained_run, tmp_path):
    copy = shutil.copytree(trained_run.folder, tmp_path / "copy")
    artifact = selection.find_artifact(copy, export_to_tflite)
    assert artifact.folder == copy / "export" / "tflite"
    assert selection.find_artifact(copy, pytest.fail).folder == artifact.folder


def _damage(change):
    def damage(folder):
        manifest = json.loads((folder / "manifest.json").read_text())
        change(manifest)
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "manifest.json").write_text("{"), "manifest.json is damaged"),
        (lambda f: (f / "manifest.json").write_text("[]"), "manifest.json is damaged"),
        (_damage(lambda m: m.update(format="zip")), "manifest.json is damaged: format"),
        (_damage(lambda m: m.update(input="x")), "manifest.json is damaged: input"),
        (_damage(lambda m: m["class_names"].pop()), "1 class names for 2 probabilities"),
        (_damage(lambda m: m.pop("proof")), "manifest.json is damaged: proof"),
        (_damage(lambda m: m.update(file="../m.tflite")), r"\.\./m\.tflite lies outside"),
        (lambda f: (f / "model.tflite").unlink(), "model.tflite: cannot be read: No such file"),
        (lambda f: os.truncate(f / "model.tflite", 999), "model.tflite: damaged or changed"),
    ],
)
def test_a_damaged_export_is_not_served(tflite_export, tmp_path, damage, message):
    copy = shutil.copytree(tflite_export.folder, tmp_path / "copy")
    damage(copy)
    with pytest.raises(RunError, match=message) as caught:
        selection.find_artifact(copy, pytest.fail).open()
    assert "\n" not in str(caught.value)


def test_a_run_that_has_only_a_quantised_export_is_served_with_it(tflite_export, tmp_path):
    shutil.copytree(tflite_export.folder, tmp_path / "export" / "tflite-int8")
    found = selection.find_artifact(tmp_path, pytest.fail)
    assert found.folder == tmp_path / "export" / "tflite-int8"


def test_a_name_fits_into_an_address(tflite_export):
    assert selection.served_name(tflite_export, "röck-1.2") == "röck-1.2"
    for name in ("", "a/b", "x{y}", "a b"):
        with pytest.raises(SettingsError, match="--name: received"):
            selection.served_name(tflite_export, name)
    odd = load_artifact(tflite_export.folder)
    odd.manifest["run"]["name"] = "my run/7"
    assert selection.served_name(odd) == "my-run-7"


def test_what_cannot_be_served_is_one_line(tmp_path, monkeypatch):
    with pytest.raises(RunError, match="not a run folder"):
        selection.find_artifact(tmp_path, pytest.fail)
    monkeypatch.setattr(selection, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"pip install 'kmixer\[serve\]'"):
        selection.find_artifact(tmp_path, pytest.fail)


def first_class(browser, name):
    """Wait until the page shows this class first; fail with the page as it is."""
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.support.ui import WebDriverWait

    text = "return document.querySelector('#classes li')?.textContent || ''"
    try:
        return WebDriverWait(browser, 60).until(
            lambda _: browser.execute_script(text).startswith(name)
        )
    except TimeoutException:
        shown = browser.execute_script("return document.body.innerText")
        pytest.fail(f"{name} is not shown first; the page: {shown}; {browser.get_log('browser')}")


@pytest.mark.skipif(os.name != "posix", reason="paths as Chromium on Linux takes them")
def test_the_page_reads_a_real_image_and_a_drawing(browser, server, image_file, tmp_path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(server.address + "/")
    script, find = browser.execute_script, browser.find_element

    assert find(By.ID, "name").text == "halves" and "2 classes" in find(By.ID, "about").text
    find(By.ID, "file").send_keys(str(image_file))
    assert first_class(browser, "below")
    seen = "const i = document.getElementById('seen'); return [i.naturalWidth, i.naturalHeight]"
    assert script(seen) == [8, 8]
    for name in ("above", "below"):  # black and white swapped, and back
        find(By.ID, "invert").send_keys(" ")  # a slow machine turns a tap into a long press
        assert first_class(browser, name)
    assert script("return document.documentElement.scrollWidth") <= 390
    names = script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert all(name.startswith((server.address, "data:")) for name in names)
    if kept := os.environ.get("KMIXER_SCREENSHOT"):
        browser.save_screenshot(kept)
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    find(By.ID, "file").send_keys(str(bad))
    WebDriverWait(browser, 20).until(lambda _: "not an image" in find(By.ID, "error").text)
    assert [entry for entry in browser.get_log("browser") if "400" not in entry["message"]] == []


@pytest.mark.skipif(os.name != "posix", reason="paths as Chromium on Linux takes them")
def test_one_draws_by_keyboard_and_sees_what_the_model_saw(browser, server):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(server.address + "/")
    script, find = browser.execute_script, browser.find_element
    pad = find(By.ID, "pad")  # by keyboard alone: strokes across the upper half
    pad.send_keys(Keys.ARROW_UP * 14, " ")
    for _ in range(3):
        pad.send_keys(
            Keys.ARROW_LEFT * 28, Keys.ARROW_DOWN * 2, Keys.ARROW_RIGHT * 28, Keys.ARROW_DOWN * 2
        )
    before = script(source := "return document.getElementById('seen').src")
    pad.send_keys(Keys.ENTER)
    WebDriverWait(browser, 20).until(lambda _: script(source) != before)
    png = base64.b64decode(script(source).removeprefix("data:image/png;base64,"))
    drawn = np.asarray(Image.open(io.BytesIO(png)))
    assert drawn[:2].mean() > 180 and (drawn[5:] == 0).all()


@pytest.mark.skipif(os.name != "posix", reason="paths as Chromium on Linux takes them")
@pytest.mark.parametrize(
    "event",
    [
        "new ClipboardEvent('paste', {clipboardData: carried, bubbles: true})",
        "new DragEvent('drop', {dataTransfer: carried, bubbles: true, cancelable: true})",
    ],
    ids=["paste", "drop"],
)
def test_one_pastes_or_drops_an_image(browser, server, image_file, event):
    browser.get(server.address + "/")
    give = (
        "const bytes = Uint8Array.from(atob(arguments[0]), c => c.charCodeAt(0));"
        "const carried = new DataTransfer();"
        "carried.items.add(new File([bytes], 'i.png', {type: 'image/png'}));"
        f"document.body.dispatchEvent({event});"
    )
    shown = "return document.querySelector('#classes li')?.textContent || ''"
    # One time in a hundred, on a machine without time, Chromium never reads a file made by a script.
    for _ in range(3):
        browser.execute_script(give, base64.b64encode(image_file.read_bytes()).decode())
        until = time.monotonic() + 20
        while not browser.execute_script(shown) and time.monotonic() < until:
            time.sleep(0.1)
        if browser.execute_script(shown):
            break
    assert first_class(browser, "below")


def box(browser, name):
    """Return where an element stands in the window: left, top, right, bottom."""
    return browser.execute_script(
        "const b = document.getElementById(arguments[0]).getBoundingClientRect();"
        "return [b.left, b.top, b.right, b.bottom];",
        name,
    )


def by_tab(browser):
    """Return what the Tab key reaches, in its order."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    reached = []
    while True:
        ActionChains(browser).send_keys(Keys.TAB).perform()
        name = browser.execute_script("return document.activeElement.id")
        if not name or name in reached:
            return reached
        reached.append(name)


@pytest.fixture(params=["server", "colour_server"])
def either_server(request):
    return request.getfixturevalue(request.param)


@pytest.mark.skipif(os.name != "posix", reason="paths as Chromium on Linux takes them")
@pytest.mark.parametrize("button", ["photo", "file"])
def test_a_phone_shows_the_answer_without_scrolling(browser, either_server, image_file, button):
    browser.get(either_server.address + "/")
    browser.find_element("id", button).send_keys(str(image_file))
    assert first_class(browser, "below")
    left, top, right, bottom = box(browser, "answer")
    assert browser.execute_script("return [scrollX, scrollY, innerWidth, innerHeight]") == [
        0, 0, 390, 844,
    ]  # fmt: skip
    assert left >= 0 and right <= 390 and box(browser, "give")[3] < top
    assert bottom < 660  # what a browser's own bars leave of 844


@pytest.mark.skipif(os.name != "posix", reason="paths as Chromium on Linux takes them")
def test_an_answer_out_of_sight_is_brought_into_it(laptop_browser, server, image_file):
    laptop_browser.get(server.address + "/")
    laptop_browser.set_window_size(500, 450)  # one column, and not high enough for the buttons too
    laptop_browser.find_element("id", "file").send_keys(str(image_file))
    assert first_class(laptop_browser, "below")
    _, top, _, bottom = box(laptop_browser, "answer")
    scrolled, height = laptop_browser.execute_script("return [scrollY, innerHeight]")
    laptop_browser.set_window_size(1280, 900)
    assert top >= 0 and bottom <= height < scrolled + bottom


@pytest.mark.skipif(os.name != "posix", reason="paths as Chromium on Linux takes them")
def test_the_first_answer_leaves_the_pad_under_the_finger(browser, server):
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(server.address + "/")
    pad, find = box(browser, "pad"), browser.find_element
    assert box(browser, "answer")[3] < pad[1]  # above the hand that draws
    find("id", "ask").click()
    WebDriverWait(browser, 20).until(lambda _: find("id", "seen").is_displayed())
    scrolled = browser.execute_script("return scrollY")
    assert [pad[0], pad[1] - scrolled] == box(browser, "pad")[:2]


@pytest.mark.skipif(os.name != "posix", reason="paths as Chromium on Linux takes them")
@pytest.mark.parametrize(
    ("device", "buttons"),
    [("browser", ["photo", "file"]), ("laptop_browser", ["file"])],  # which has no camera to open
)
@pytest.mark.parametrize(
    ("kind", "grey"),
    [("server", ["invert", "pad", "ask", "clear"]), ("colour_server", [])],
)
def test_one_draws_for_models_of_grey_images_alone(request, device, buttons, kind, grey):
    chrome, serving = request.getfixturevalue(device), request.getfixturevalue(kind)
    chrome.get(serving.address + "/")
    assert by_tab(chrome) == buttons + grey
    for name in ("invert", "pad", "ask", "clear"):
        assert chrome.find_element("id", name).is_displayed() == bool(grey)
    assert chrome.get_log("browser") == []


@pytest.mark.skipif(os.name != "posix", reason="paths as Chromium on Linux takes them")
def test_a_wide_window_has_the_answer_beside_the_input(laptop_browser, either_server, image_file):
    laptop_browser.get(either_server.address + "/")
    laptop_browser.find_element("id", "file").send_keys(str(image_file))
    assert first_class(laptop_browser, "below")
    give, answer, draw = (box(laptop_browser, name) for name in ("give", "answer", "draw"))
    assert give[2] < answer[0] and give[1] == answer[1] and answer[3] < 800
    if any(draw):  # a model of grey images: the pad below the buttons
        assert draw[0] == give[0] and draw[1] > give[3] and draw[3] == answer[3]


@pytest.mark.skipif(os.name != "posix", reason="paths as Chromium on Linux takes them")
def test_a_phone_is_asked_for_its_camera(browser, server):
    browser.get(server.address + "/")
    photo = browser.find_element("id", "photo")
    assert photo.get_attribute("capture") == "environment"
    assert photo.get_attribute("accept") == "image/*"
    label = browser.find_element("css selector", "label[for=photo]")
    assert label.is_displayed() and label.text == "Take a photo"


@pytest.mark.skipif(os.name != "posix", reason="paths as Chromium on Linux takes them")
def test_an_error_takes_the_place_of_another_images_answer(browser, server, image_file, tmp_path):
    from selenium.webdriver.support.ui import WebDriverWait

    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    browser.get(server.address + "/")
    find = browser.find_element
    find("id", "file").send_keys(str(image_file))
    assert first_class(browser, "below")
    find("id", "file").send_keys(str(bad))
    WebDriverWait(browser, 20).until(lambda _: "not an image" in find("id", "error").text)
    assert not find("id", "classes").is_displayed() and not find("id", "saw").is_displayed()
    find("id", "file").send_keys(str(image_file))
    WebDriverWait(browser, 20).until(lambda _: find("id", "classes").is_displayed())
    assert find("id", "error").text == ""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="paths as Chromium on Linux takes them")
def test_the_page_reads_a_test_image_of_fashion_mnist(browser, kmixer_cli, tmp_path):
    from selenium.webdriver.common.by import By

    from kmixer.data import load

    done = kmixer_cli("train", "fmnist", "--epochs", 2, "--out", tmp_path / "run", timeout=600)
    assert done.returncode == 0, done.stderr
    test = load("fmnist").test
    Image.fromarray(test.images[0, :, :, 0]).save(tmp_path / "boot.png")
    server = Server(tmp_path / "run")  # which exports it first
    try:
        browser.get(server.address + "/")
        browser.find_element(By.ID, "file").send_keys(str(tmp_path / "boot.png"))
        assert first_class(browser, "Ankle boot")
        if kept := os.environ.get("KMIXER_SCREENSHOT"):
            browser.save_screenshot(kept)
    finally:
        server.stop()
