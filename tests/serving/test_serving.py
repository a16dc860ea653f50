"""The server: what it answers, what it refuses, how it stops."""

import base64
import io
import json
import re
import shutil
import threading

import keras
import numpy as np
import pytest
from PIL import Image

if keras.backend.backend() != "tensorflow":
    pytest.skip("a server has no Keras backend", allow_module_level=True)
pytest.importorskip("fastapi")
pytest.importorskip("httpx2")

from starlette.testclient import TestClient

from kmixer.data.decode import Decoding
from kmixer.errors import DataError
from kmixer.exporting.artifact import load_artifact
from kmixer.serving import protocol
from kmixer.serving.app import build_app
from kmixer.serving.batcher import Batcher, QueueFullError

PREDICT = "/v1/models/halves:predict"
TIMEOUT = 60  # seconds, which only a failing test waits


@pytest.fixture(scope="module")
def client(tflite_export):
    app = build_app(tflite_export, "halves", max_body=200_000)
    with TestClient(app) as opened:
        yield opened


@pytest.fixture(scope="module")
def explaining_client(trained_run, tflite_export, tmp_path_factory):
    """A client of an export that lies in its run's folder."""
    run = shutil.copytree(trained_run.folder, tmp_path_factory.mktemp("served") / "run")
    export = shutil.copytree(tflite_export.folder, run / "export" / "tflite")
    with TestClient(build_app(load_artifact(export), "halves")) as opened:
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
        (b'{"instances": [[[1, 2], [3]]]}', "instance 0: r"),
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
        (json.dumps({"instances": [[[True] * 8] * 8]}).encode(), "whole numbers 0 to 255"),
        (
            json.dumps({"instances": [0] * 300}).encode(),
            "received 300 images, expected at most 256",
        ),
    ],
    ids=range(21),
)
def test_a_malformed_request_is_refused_in_servings_shape(client, body, message):
    answer = client.post(PREDICT, content=body)
    assert answer.status_code == 400 and set(answer.json()) == {"error"}
    assert re.search(message, answer.json()["error"])


@pytest.mark.parametrize("values", [b"0", b"[]", b'"x"'])
@pytest.mark.parametrize("begin", [b'{"instances": [', b"[", b'{"instances": 0, "a": ['])
def test_a_request_of_too_many_values_is_refused_before_it_is_parsed(
    client, begin, values, monkeypatch
):
    monkeypatch.setattr(protocol, "MAX_VALUES", 20_000)
    body = begin + b",".join([values] * 20_001)
    answer = client.post(PREDICT, content=body)
    assert answer.status_code == 400 and "expected at most 20,000" in answer.json()["error"]


def test_images_that_take_long_together_are_refused(client, monkeypatch):
    seconds = iter(range(0, 1000, 9))
    monkeypatch.setattr("kmixer.serving.protocol.time.thread_time", lambda: next(seconds))
    body = {"instances": [[[0] * 8] * 8] * 2}
    assert client.post(PREDICT, json=body).status_code == 200
    answer = client.post(PREDICT, json={"instances": body["instances"] * 2})
    assert answer.status_code == 400
    assert "instance 2: the images before it took 27 seconds" in answer.json()["error"]


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(client, tmp_path):
    Image.new("1", (10_000, 6000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 10_000
    answer = client.post("/classify", content=(tmp_path / "bomb.png").read_bytes())
    assert answer.status_code == 400
    assert "too large: 10000×6000 pixels, at most 50,000,000 are read" in answer.json()["error"]


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


def test_classify_answers_classes_and_the_image_as_the_model_saw_it(client, image_file, pixels):
    answer = client.post("/classify", content=image_file.read_bytes()).json()
    assert [entry["class"] for entry in answer["classes"]] == ["below", "above"]
    png = base64.b64decode(answer["seen"].removeprefix("data:image/png;base64,"))
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
    refused = r'kmixer_requests_total{route="/v1/models/{model}:predict",status="400"} (\S+)'
    assert float(re.search(refused, after).group(1)) >= 1
    assert client.get("/health").json()["status"] == "ok"


def test_waiting_requests_are_answered_together_each_with_its_own():
    began, go, sizes = threading.Event(), threading.Event(), []

    def predict(images):
        sizes.append(len(images))
        began.set()
        assert go.wait(TIMEOUT)
        return images.reshape(len(images), -1)[:, :1].astype(np.float32)

    batcher = Batcher(predict, max_batch=4)
    images = [np.full((1 + i % 2, 2, 2, 1), i, np.uint8) for i in range(5)]
    first = batcher.submit(images[0])
    assert began.wait(TIMEOUT)
    rest = [batcher.submit(one) for one in images[1:]]
    go.set()
    for i, future in enumerate([first, *rest]):
        assert future.result(TIMEOUT).tolist() == [[i]] * (1 + i % 2)
    assert sizes[0] == 1 and max(sizes) == 4 and len(sizes) < 6
    batcher.stop()


def test_a_full_queue_is_refused_and_empties_again():
    go = threading.Event()

    def predict(images):
        assert go.wait(TIMEOUT)
        return np.zeros((len(images), 2), np.float32)

    batcher = Batcher(predict, max_waiting=2)
    image = np.zeros((1, 2, 2, 1), np.uint8)
    held = [batcher.submit(image) for _ in range(2)]
    with pytest.raises(QueueFullError, match="2 images wait already"):
        batcher.submit(image)
    go.set()
    assert all(future.result(TIMEOUT).shape == (1, 2) for future in held)
    assert batcher.submit(image).result(TIMEOUT).shape == (1, 2)
    batcher.stop()


def test_a_request_that_is_given_up_takes_no_other_with_it():
    began, go = threading.Event(), threading.Event()

    def predict(images):
        began.set()
        assert go.wait(TIMEOUT)
        return images[:, 0, 0].astype(np.float32)

    batcher = Batcher(predict)
    first = batcher.submit(np.zeros((1, 2, 2, 1), np.uint8))
    assert began.wait(TIMEOUT)
    given_up, kept = (batcher.submit(np.full((1, 2, 2, 1), i, np.uint8)) for i in (1, 2))
    assert given_up.cancel()
    go.set()
    assert first.result(TIMEOUT).tolist() == [[0]] and kept.result(TIMEOUT).tolist() == [[2]]
    assert batcher.submit(np.full((1, 2, 2, 1), 3, np.uint8)).result(TIMEOUT).tolist() == [[3]]
    batcher.stop()
    assert batcher.waiting == 0


def test_a_failing_model_fails_its_requests_and_no_others():
    def predict(images):
        if images.max() > 9:
            raise ValueError("no")
        return np.zeros((len(images), 2), np.float32)

    batcher = Batcher(predict)
    with pytest.raises(ValueError, match="no"):
        batcher.submit(np.full((1, 2, 2, 1), 10, np.uint8)).result(TIMEOUT)
    assert batcher.submit(np.zeros((1, 2, 2, 1), np.uint8)).result(TIMEOUT).shape == (1, 2)
    batcher.stop()


def test_one_long_text_among_the_numbers_costs_no_more_memory_than_itself():
    import tracemalloc

    rows = [["1"] * 28 for _ in range(28)]
    rows[0][0] = "9" * 1_000_000
    body = json.dumps({"instances": [rows]}).encode()
    tracemalloc.start()
    with pytest.raises(DataError, match="whole numbers"):
        protocol.read_body(body, Decoding(28, 28, 1), 256)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_errors_keep_their_shape_and_are_counted(tflite_export, image_file, monkeypatch, capfd):
    app = build_app(tflite_export, "halves")

    def broken(images):
        raise ZeroDivisionError

    with TestClient(app) as opened:
        wrong = opened.post("/classify?invert=banana", content=b"x")
        assert wrong.status_code == 400 and "invert" in wrong.json()["error"]
        monkeypatch.setattr(app.state.served.batcher, "predict", broken)
        failed = opened.post("/classify", content=image_file.read_bytes())
        assert failed.status_code == 500 and failed.json() == {
            "error": "ZeroDivisionError; see the server"
        }
        assert 'route="/classify",status="500"} 1.0' in opened.get("/metrics").text
        assert opened.get("/openapi.json").status_code == 404
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_more_requests_than_the_queue_holds_are_refused_before_they_are_read(tflite_export):
    app = build_app(tflite_export, "halves", max_waiting=1)
    with TestClient(app) as opened:
        limits = app.state.served.limits
        limits.requests = 1
        answer = opened.post("/classify", content=b"x")
        assert answer.status_code == 503 and "1 requests are in flight" in answer.json()["error"]
        limits.requests = 0
        assert opened.post("/classify", content=b"x").status_code == 400
        assert limits.requests == limits.body_bytes == 0


def test_a_full_server_answers_503(tflite_export, pixels, monkeypatch):
    app = build_app(tflite_export, "halves")

    def full(images):
        raise QueueFullError("256 images wait already; try again later")

    monkeypatch.setattr(app.state.served.batcher, "submit", full)
    with TestClient(app) as opened:
        answer = opened.post(PREDICT, json={"instances": [pixels.tolist()]})
    assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
    assert "256 images wait" in answer.json()["error"]


def test_an_answer_is_explained_by_the_run_that_the_export_lies_in(
    explaining_client, image_file, expected
):
    answer = explaining_client.post("/classify?explain=true", content=image_file.read_bytes())
    assert answer.status_code == 200
    found = answer.json()["explanation"]
    assert found["method"] == "tokens" and found["chosen"]["class"] == "below"
    assert found["chosen"]["probability"] == pytest.approx(expected.max(), abs=1e-5)
    for one in (found["chosen"], found["other"]):
        total = np.sum(one["parts"]) + one["constant"]
        assert total == pytest.approx(one["logit"], abs=1e-4)
    for name in ("chosen", "other", "difference"):
        png = base64.b64decode(found["maps"][name].partition(",")[2])
        assert Image.open(io.BytesIO(png)).size == (8, 8)
    plain = explaining_client.post("/classify", content=image_file.read_bytes())
    assert "explanation" not in plain.json()


def test_an_export_alone_says_that_it_explains_nothing(client, image_file, tflite_export):
    answer = client.post("/classify?explain=true", content=image_file.read_bytes())
    assert answer.status_code == 400 and "lies beside no run" in answer.json()["error"]
    assert str(tflite_export.folder.parent) not in answer.text
    assert client.post("/classify?explain=2", content=b"").status_code == 400
