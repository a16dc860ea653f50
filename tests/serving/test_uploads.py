"""What clients send: forms, raw bodies, HEAD, large photos, and what is refused by name."""

import base64
import dataclasses
import gzip
import io

import keras
import numpy as np
import pytest
from PIL import Image

if keras.backend.backend() != "tensorflow":
    pytest.skip("a server has no Keras backend", allow_module_level=True)
pytest.importorskip("fastapi")
pytest.importorskip("httpx2")

from starlette.testclient import TestClient

from kmixer.data.decode import decode
from kmixer.serving.access import Access
from kmixer.serving.app import build_app
from raw_images import encoded

FORM = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'


@pytest.fixture(scope="module")
def client(tflite_export):
    with TestClient(build_app(tflite_export, "halves", max_body=3_000_000)) as opened:
        yield opened


@pytest.fixture(scope="module")
def image_file(image_folder):
    return image_folder / "test" / "below" / "003.png"


def seen(answer):
    """Return the pixels that the model saw."""
    assert answer.status_code == 200, answer.text
    png = base64.b64decode(answer.json()["seen"].removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.mark.parametrize("field", ["file", "image", "", "ä b"])
def test_a_form_with_one_file_is_answered_like_its_bytes(client, image_file, field):
    content = image_file.read_bytes()
    raw = client.post("/classify", content=content).json()
    form = client.post("/classify", files={field: ("photo.png", content, "image/png")})
    assert form.status_code == 200 and form.json() == raw
    more = client.post("/classify", data={"note": "x"}, files={field: ("a.bin", content)})
    assert more.json() == raw


@pytest.mark.parametrize(
    ("files", "content", "message"),
    [
        ([("a", ("a.png", b"1")), ("b", ("b.png", b"2"))], None, "form: received 2 files, expected one"),
        (None, b"--x--\r\n", "form: received 0 files, expected one, such as: curl -F"),
        (None, b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\ntext\r\n--x--', "received 0 files"),
        (None, PART + b"cut off", "form: it ends before its last boundary"),
        ([("a", ("a.png", b""))], None, "image: empty file"),
        ([("a", ("a.png", b"text"))], None, "image: not an image: text"),
        ([(f"f{i}", ("a.png", b"1")) for i in range(17)], None, "form: Too many files"),
        (None, b"--y\r\n", "form: "),
        (None, b"", "form: "),
    ],
)  # fmt: skip
def test_a_form_without_one_file_is_refused(client, files, content, message):
    headers = None if files else {"content-type": FORM}
    answer = client.post("/classify", files=files, content=content, headers=headers)
    assert answer.status_code == 400 and message in answer.json()["error"]


def test_a_form_without_a_boundary_is_refused(client):
    answer = client.post("/classify", content=b"x", headers={"content-type": "multipart/form-data"})
    assert answer.status_code == 400 and "boundary" in answer.json()["error"]


def test_a_form_that_is_too_long_is_refused(client):
    answer = client.post("/classify", files={"file": ("a.png", bytes(3_000_001))})
    assert answer.status_code == 413 and "--max-body" in answer.json()["error"]


def in_chunks(content):
    """Return a form with `content` as its file, in pieces that tell no length."""
    return (piece for piece in (PART, content, b"\r\n--x--\r\n"))


def test_a_form_of_unknown_length_is_held_to_the_limit_too(client):
    photo = encoded(
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (700, 700, 3), np.uint8)), "PNG"
    )
    assert 1_400_000 < len(photo) < 3_000_000  # beyond what a form keeps in memory by itself
    headers = {"content-type": FORM}
    form = client.post("/classify", content=in_chunks(photo), headers=headers)
    np.testing.assert_array_equal(seen(form), seen(client.post("/classify", content=photo)))
    answer = client.post("/classify", content=in_chunks(bytes(3_000_000)), headers=headers)
    assert answer.status_code == 413 and "--max-body" in answer.json()["error"]


def test_forms_are_held_to_the_token_and_to_the_requests_in_hand_and_are_counted(
    tflite_export, image_file
):
    app = build_app(tflite_export, "halves", max_waiting=1, access=Access(token="secret"))
    limits, form = app.state.served.limits, {"file": ("a.png", image_file.read_bytes())}
    with TestClient(app) as opened:
        assert opened.post("/classify", files=form).status_code == 401
        opened.headers["authorization"] = "Bearer secret"
        limits.requests = 1
        assert opened.post("/classify", files=form).status_code == 503
        limits.requests = 0
        assert opened.post("/classify", files=form).status_code == 200
        assert opened.post("/classify", files=form | {"b": ("b.png", b"1")}).status_code == 400
        assert limits.requests == limits.body_bytes == 0
        counted = opened.get("/metrics").text
    for status in (503, 200, 400):
        assert f'kmixer_requests_total{{route="/classify",status="{status}"}} 1.0' in counted


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no image in the body; send one so: curl -F file=@photo.jpg"),
        (b"<html>", "image: not an image: an HTML page"),
        (b'{"image": "aGFsbG8="}', "image: not an image: JSON text"),
        (b"%PDF-1.7", "image: not an image: a PDF document"),
    ],
)
def test_what_is_no_image_is_refused_by_its_name(client, content, message):
    answer = client.post("/classify", content=content)
    assert answer.status_code == 400 and message in answer.json()["error"]


@pytest.mark.parametrize("encoding", ["gzip", "br"])
@pytest.mark.parametrize("path", ["/classify", "/v1/models/halves:predict"])
def test_a_compressed_body_is_refused_before_it_is_read(client, image_file, path, encoding):
    answer = client.post(
        path, content=gzip.compress(image_file.read_bytes()), headers={"content-encoding": encoding}
    )
    assert answer.status_code == 415
    assert f"received '{encoding}', expected an uncompressed body" in answer.json()["error"]


@pytest.mark.parametrize(
    "path",
    ["/", "/health", "/metrics", "/v1/models/halves", "/v1/models/halves/metadata",
     "/v1/models/halves/versions/1"],
)  # fmt: skip
def test_head_is_answered_where_get_is(client, path):
    head, get = client.head(path), client.get(path)
    assert head.status_code == get.status_code == 200
    assert head.headers["content-type"] == get.headers["content-type"]


def test_another_method_is_named_with_those_that_are_answered(client):
    answer = client.get("/classify")
    assert answer.status_code == 405 and answer.headers["allow"] == "POST"
    assert set(client.put("/health").headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_a_phones_photo_is_answered(client):
    photo = encoded(Image.new("RGB", (5712, 4284), (200, 40, 40)), "JPEG")
    assert abs(seen(client.post("/classify", content=photo)).astype(int) - 88).max() <= 1


def test_the_limit_of_pixels_is_the_servers(tflite_export):
    photo = encoded(Image.new("RGB", (40, 30)), "PNG")
    with TestClient(build_app(tflite_export, "halves", max_pixels=1000)) as opened:
        answer = opened.post("/classify", content=photo)
    assert answer.status_code == 400
    assert "too large: 40×30 pixels, at most 1,000 are read" in answer.json()["error"]
    assert "--max-pixels" in answer.json()["error"]


def test_the_server_decodes_as_its_models_training_did(tflite_export):
    manifest = tflite_export.manifest
    data = manifest["settings"]["data"] | {"white_level": 4095, "fit": "pad"}
    manifest = manifest | {"settings": manifest["settings"] | {"data": data}}
    artifact = dataclasses.replace(tflite_export, manifest=manifest)
    assert artifact.decoding.white_level == 4095 and artifact.decoding.fit == "pad"
    dark = np.full((4, 8), 300, np.uint16)
    dark[:2] = 600
    content = encoded(dark, "PNG")
    with TestClient(build_app(artifact, "halves")) as opened:
        pixels = seen(opened.post("/classify", content=content))
    np.testing.assert_array_equal(pixels, decode(io.BytesIO(content), artifact.decoding)[..., 0])
    assert pixels.min() == 19 and pixels.max() == 37  # 300 and 600 of 4,095


def test_an_older_export_crops(tflite_export):
    manifest = {key: value for key, value in tflite_export.manifest.items() if key != "settings"}
    decoding = dataclasses.replace(tflite_export, manifest=manifest).decoding
    assert decoding.fit == "crop" and decoding.white_level is None
