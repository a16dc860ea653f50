"""The server: what it answers, what it refuses, how it stops."""

import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import keras
import numpy as np
import pytest
from PIL import Image

if keras.backend.backend() != "tensorflow":
    pytest.skip("a server has no Keras backend", allow_module_level=True)
pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from starlette.testclient import TestClient

from kmixer import serving
from kmixer.errors import RunError, SettingsError
from kmixer.serving.batcher import Batcher, QueueFullError

PREDICT = "/v1/models/halves:predict"


@pytest.fixture(scope="module")
def client(tflite_export):
    app = serving.build_app(tflite_export, "halves", max_body=200_000)
    with TestClient(app) as opened:
        yield opened


@pytest.fixture(scope="module")
def image_file(image_folder):
    return image_folder / "test" / "below" / "003.png"


@pytest.fixture(scope="module")
def pixels(image_file):
    return np.asarray(Image.open(image_file))


@pytest.fixture(scope="module")
def expected(tflite_export, pixels):
    return tflite_export.open()[0](pixels[None, :, :, None])[0]


def encoded(path):
    return {"b64": base64.b64encode(path.read_bytes()).decode()}


def test_every_form_of_an_image_gets_the_same_answer(client, image_file, pixels, expected):
    rows = [
        pixels.tolist(),
        pixels[..., None].tolist(),
        {"images": pixels.tolist()},
        encoded(image_file),
    ]
    answer = client.post(PREDICT, json={"instances": rows})
    assert answer.status_code == 200 and len(answer.json()["predictions"]) == 4
    np.testing.assert_allclose(answer.json()["predictions"], [expected] * 4, atol=1e-6)
    columns = client.post(PREDICT, json={"inputs": {"images": [pixels.tolist()]}})
    np.testing.assert_allclose(columns.json()["outputs"], [expected], atol=1e-6)
    versioned = client.post("/v1/models/halves/versions/1:predict", json={"instances": rows[:1]})
    np.testing.assert_allclose(versioned.json()["predictions"], [expected], atol=1e-6)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 50_000, "not JSON"),
        (b'{"instances": [NaN]}', "NaN is no JSON"),
        (b"[]", "expected a JSON object, received a list"),
        (b"{}", "expected 'instances' or 'inputs'"),
        (b'{"instances": []}', "one image or more"),
        (b'{"instances": 3}', "one image or more"),
        (b'{"instances": [[[1, 2], [3]]]}', "instance 0: rows of unequal length"),
        (b'{"instances": [[[1, 2], [3, 4]]]}', r"instance 0: received 2×2, expected 8×8×1"),
        (b'{"instances": [null]}', "instance 0: received null"),
        (b'{"instances": [{"b64": "!"}]}', "instance 0: b64"),
        (b'{"instances": [{"b64": 7}]}', "instance 0: b64"),
        (b'{"instances": [{"b64": "aGFsbG8="}]}', "instance 0: image: not an image"),
        (json.dumps({"instances": [[[0.5] * 8] * 8]}).encode(), "whole numbers 0 to 255"),
        (json.dumps({"instances": [[[256] * 8] * 8]}).encode(), "whole numbers 0 to 255"),
        (json.dumps({"instances": [[[-1] * 8] * 8]}).encode(), "whole numbers 0 to 255"),
        (json.dumps({"instances": [[[10**30] * 8] * 8]}).encode(), "whole numbers 0 to 255"),
        (json.dumps({"instances": [[["1"] * 8] * 8]}).encode(), "whole numbers 0 to 255"),
    ],
    ids=range(19),
)
def test_a_malformed_request_is_refused_in_servings_shape(client, body, message):
    answer = client.post(PREDICT, content=body)
    assert answer.status_code == 400 and set(answer.json()) == {"error"}
    assert re.search(message, answer.json()["error"])


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(client, tmp_path):
    Image.new("1", (5000, 4000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 10_000
    answer = client.post("/classify", content=(tmp_path / "bomb.png").read_bytes())
    assert answer.status_code == 400
    assert "5000×4000 pixels, at most 16,000,000" in answer.json()["error"]


def test_a_body_that_is_too_long_is_refused_before_it_is_read(client):
    assert client.post(PREDICT, content=b" " * 200_001).status_code == 413
    pieces = (b" " * 10_000 for _ in range(30))  # in chunks, no length is told
    answer = client.post(PREDICT, content=pieces)
    assert answer.status_code == 413 and "longer than 200,000 bytes" in answer.json()["error"]


def test_status_and_metadata_have_servings_shape(client):
    (version,) = client.get("/v1/models/halves").json()["model_version_status"]
    assert version["state"] == "AVAILABLE" and version["version"] == "1"
    metadata = client.get("/v1/models/halves/metadata").json()
    assert metadata["model_spec"]["name"] == "halves"
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    sides = [dim["size"] for dim in signature["inputs"]["images"]["tensor_shape"]["dim"]]
    assert sides == ["-1", "8", "8", "1"] and metadata["metadata"]["class_names"] == [
        "above",
        "below",
    ]
    missing = client.post("/v1/models/other:predict", json={})
    assert missing.status_code == 404 and "this server has 'halves'" in missing.json()["error"]
    assert client.get("/nothing").json() == {"error": "Not Found"}


def test_classify_tells_classes_and_what_the_model_saw(client, image_file, pixels):
    said = client.post("/classify", content=image_file.read_bytes()).json()
    assert [one["class"] for one in said["classes"]] == ["below", "above"]
    png = base64.b64decode(said["seen"].removeprefix("data:image/png;base64,"))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), pixels)
    swapped = client.post("/classify?invert=true", content=image_file.read_bytes()).json()
    assert swapped["classes"][0]["class"] == "above"


def test_health_and_metrics_count(client, pixels):
    def count(text, name):
        return sum(float(v) for v in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.M))

    before = client.get("/metrics").text
    client.post(PREDICT, json={"instances": [pixels.tolist()] * 3})
    client.post(PREDICT, content=b"{")
    after = client.get("/metrics").text
    assert count(after, "kmixer_images_total") - count(before, "kmixer_images_total") == 3
    refused = r'kmixer_requests_total{route="/v1/models/halves:predict",status="400"} (\S+)'
    assert float(re.search(refused, after).group(1)) >= 1
    assert client.get("/health").json()["status"] == "ok"


def test_waiting_requests_are_answered_together_each_with_its_own():
    began, go, sizes = threading.Event(), threading.Event(), []

    def predict(images):
        sizes.append(len(images))
        began.set()
        assert go.wait(5)
        return images.reshape(len(images), -1)[:, :1].astype(np.float32)

    batcher = Batcher(predict, max_batch=4)
    images = [np.full((1 + i % 2, 2, 2, 1), i, np.uint8) for i in range(5)]
    first = batcher.submit(images[0])
    assert began.wait(5)
    rest = [batcher.submit(one) for one in images[1:]]
    other = batcher.submit(np.full((1, 3, 3, 1), 9, np.uint8))  # another size, by itself
    go.set()
    for i, future in enumerate([first, *rest]):
        assert future.result(5).tolist() == [[i]] * (1 + i % 2)
    assert other.result(5).tolist() == [[9]]
    assert sizes[0] == 1 and max(sizes) == 4 and len(sizes) < 6
    batcher.stop()


def test_a_full_queue_is_refused_and_empties_again():
    go = threading.Event()

    def predict(images):
        assert go.wait(5)
        return np.zeros((len(images), 2), np.float32)

    batcher = Batcher(predict, max_waiting=2)
    image = np.zeros((1, 2, 2, 1), np.uint8)
    held = [batcher.submit(image) for _ in range(2)]
    with pytest.raises(QueueFullError, match="2 images wait already"):
        batcher.submit(image)
    go.set()
    assert all(future.result(5).shape == (1, 2) for future in held)
    assert batcher.submit(image).result(5).shape == (1, 2)
    batcher.stop()


def test_a_failing_model_fails_its_requests_and_no_others():
    def predict(images):
        if images.max() > 9:
            raise ValueError("no")
        return np.zeros((len(images), 2), np.float32)

    batcher = Batcher(predict)
    with pytest.raises(ValueError, match="no"):
        batcher.submit(np.full((1, 2, 2, 1), 10, np.uint8)).result(5)
    assert batcher.submit(np.zeros((1, 2, 2, 1), np.uint8)).result(5).shape == (1, 2)
    batcher.stop()


def test_a_full_server_answers_503(tflite_export, pixels, monkeypatch):
    app = serving.build_app(tflite_export, "halves")

    def full(images):
        raise QueueFullError("256 images wait already; try again later")

    monkeypatch.setattr(app.state.served.batcher, "submit", full)
    with TestClient(app) as opened:
        answer = opened.post(PREDICT, json={"instances": [pixels.tolist()]})
    assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
    assert "256 images wait" in answer.json()["error"]


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

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture(scope="module")
def server(tflite_export):
    running = Server(tflite_export.folder, "--name", "halves")
    yield running
    running.process.kill()


def test_the_server_needs_no_keras_and_finishes_what_it_has_begun(tflite_export, image_file):
    server = Server(
        tflite_export.folder, "--name", "halves", "--batch-wait", "700", "--max-batch", "8"
    )
    said = []
    asking = threading.Thread(
        target=lambda: said.append(server.post("/classify", image_file.read_bytes()))
    )
    asking.start()
    time.sleep(0.3)  # the request waits for others to join it
    code = server.stop()
    asking.join(10)
    assert said and said[0]["classes"][0]["class"] == "below"
    assert (
        code in (0, -signal.SIGTERM, 143) and server.process.stderr.read().count("Traceback") == 0
    )
    with pytest.raises(urllib.error.URLError):
        server.post("/classify", image_file.read_bytes())


def test_a_port_that_is_taken_is_told_in_one_line(kmixer_cli, server, tflite_export):
    port = server.address.rsplit(":")[-1]
    done = kmixer_cli("serve", tflite_export.folder, "--port", port)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"kmixer: 127.0.0.1:{port}: Address already in use; choose another --port or --host"
    )


def test_a_run_without_an_export_is_exported_once(trained_run, tmp_path):
    import shutil

    copy, said = shutil.copytree(trained_run.folder, tmp_path / "copy"), []
    artefact = serving.find_artefact(copy, said.append)
    assert artefact.folder == copy / "export" / "tflite" and len(said) == 1
    assert serving.find_artefact(copy, pytest.fail).folder == artefact.folder


def test_what_cannot_be_served_is_one_line(tmp_path, monkeypatch):
    with pytest.raises(RunError, match="not a run folder"):
        serving.find_artefact(tmp_path)
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"pip install 'kmixer\[serve\]'"):
        serving.find_artefact(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="paths as Chromium on Linux takes them")
def test_the_page_reads_a_real_image_and_a_drawing(browser, server, image_file, tmp_path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(server.address + "/")
    script, find = browser.execute_script, browser.find_element

    def says(name):
        first = "return document.querySelector('#said li')?.textContent || ''"
        WebDriverWait(browser, 20).until(lambda _: script(first).startswith(name))

    assert find(By.ID, "name").text == "halves" and "2 classes" in find(By.ID, "about").text
    find(By.ID, "file").send_keys(str(image_file))
    says("below")
    seen = "const i = document.getElementById('seen'); return [i.naturalWidth, i.naturalHeight]"
    assert script(seen) == [8, 8]
    for name in ("above", "below"):  # black and white swapped, and back
        find(By.CSS_SELECTOR, "label.check").click()
        says(name)
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
