"""The page that holds its model: it reads images as Python does, and computes what Keras does."""

import base64
import io
import json
import os
import struct
import zlib

import keras
import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

from kmixer import build_settings
from kmixer.data.decode import Decoding, decode
from kmixer.exporting.browser import Chromium, find_browser
from kmixer.exporting.lowering import lower
from kmixer.exporting.steps import describe
from kmixer.exporting.writers.web import pack
from kmixer.models.factory import build_model
from kmixer.page.assemble import is_own, local_page, server_page
from kmixer.runs.answers import SMALLEST_OF_8_BITS, Answers
from model_forms import CNN_FORMS, FORMS
from numpy_steps import ACTIVATIONS, STEPS, run_steps

if keras.backend.backend() != "tensorflow":
    pytest.skip("a page has no Keras backend", allow_module_level=True)


@pytest.fixture(scope="module")
def chromium():
    program = find_browser()
    if program is None:
        assert not os.environ.get("KMIXER_BROWSER"), "chromium is required"
        pytest.skip("no Chromium on this machine")
    return Chromium(program)


@pytest.fixture
def open_page(chromium, tmp_path):
    """A function that opens a page from a file and returns a function that evaluates there."""

    def open_file(html):
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        session = chromium.open(path.as_uri())
        return lambda expression: chromium.evaluate(session, expression)

    return open_file


def about(shape, fit="crop", **values):
    """A network that answers with the mean of each channel, in as many classes."""
    height, width, channels = shape
    steps = [{"kind": "mean", "input_shape": shape, "shape": [channels]},
             {"kind": "softmax", "input_shape": [channels], "shape": [channels]}]  # fmt: skip
    return {
        "name": "means", "classes": channels, "names": ["red", "green", "blue"][:channels],
        "width": width, "height": height, "channels": channels, "fit": fit, "bytes": 4,
        "network": {"input_shape": shape, "steps": steps},
    } | values  # fmt: skip


def page(shape, **values):
    return local_page(about(shape, **values), pack(np.zeros(1, "<f4"))).html


@pytest.mark.parametrize("smallest", [1e-12, SMALLEST_OF_8_BITS])
def test_the_page_answers_as_python_does(open_page, smallest):
    rng = np.random.default_rng(0)
    answers = Answers(
        coverage=0.9, per_class=True, least=list(rng.uniform(0, 0.4, 6)), refusals=0.1,
        least_spread=1.0, smallest=smallest,
    )  # fmt: skip
    logits = rng.normal(0, np.linspace(0.1, 4, 40)[:, None], (40, 6))
    probabilities = softmax(logits, axis=1)
    names = ["a", "b", "c", "d", "e", "f"]
    values = (probabilities.tolist(), answers.model_dump(), names)
    rows, thresholds, labels = map(json.dumps, values)
    found = open_page(page((8, 8, 1)))(f"{rows}.map(row => answerOf(row, {thresholds}, {labels}))")
    assert found == [answers.of(row, names) for row in probabilities]
    assert {one["known"] for one in found} == {True, False}


def as_file(content, name="image"):
    text = base64.b64encode(content).decode()
    return f"new File([Uint8Array.from(atob('{text}'), c => c.charCodeAt(0))], '{name}')"


def png(shape, kind="PNG", blur=False, **options):
    """Return an image file of random levels; `blur`: of large spots, as photos have."""
    levels = np.random.default_rng(sum(shape)).integers(0, 256, shape, np.uint8)
    image = Image.fromarray(levels[::16, ::16] if blur else levels)
    if blur:
        image = image.resize(shape[1::-1], Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return png((704, 1104, 3), "JPEG", blur=True, quality=90, exif=exif)


def animated():
    frames = [Image.new("RGB", (30, 20), color) for color in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def light():
    """Return white writing on nothing, which is laid on black."""
    levels = np.full((9, 12, 4), 255, np.uint8)
    levels[::2, :, 3] = 0
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    return file.getvalue()


IMAGES = {
    "wide": (png((37, 90, 3)), 0), "a pixel": (png((1, 1, 3)), 0), "a row": (png((1, 300)), 0),
    "a column": (png((300, 1)), 1), "grey": (png((60, 61)), 0), "larger than a tile": (png((30, 2100, 3)), 0),
    "20,000 pixels wide": (png((3, 20_000)), 0), "animated": (animated(), 0),
    "transparent": (png((64, 80, 4)), 1), "light on nothing": (light(), 0),
    "a photo": (turned(1), 1), "a photo on its side": (turned(6), 1), "mirrored": (turned(7), 1),
    "a photo as WebP": (png((200, 300, 3), "WEBP", blur=True), 1),
}  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "fit"), [((28, 28, 1), "crop"), ((20, 32, 3), "pad"), ((32, 20, 3), "stretch")]
)
def test_the_model_sees_what_predict_would_show_it(open_page, shape, fit):
    """To the level; by one where a browser multiplies by opacity, or Pillow begins with rows."""
    evaluate, decoding = open_page(page(shape, fit=fit)), Decoding(*shape, fit)
    for name, (content, levels) in IMAGES.items():
        seen = evaluate(f"classify({as_file(content)}, false).then(answer => answer.seen)")
        shown = Image.open(io.BytesIO(base64.b64decode(seen.partition(",")[2]))).convert("RGB")
        received = np.asarray(shown, int)[:, :, : shape[2]]
        expected = decode(io.BytesIO(content), decoding).astype(int)
        assert np.abs(received - expected).max() <= max(levels, "a row" in name), name
    answer = evaluate(f"classify({as_file(IMAGES['grey'][0])}, true)")
    assert sum(entry["probability"] for entry in answer["classes"]) == pytest.approx(1)


def black(side):
    """Return a PNG of a few kilobytes with side × side black pixels of one bit."""

    def block(kind, content):
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    rows = zlib.compress(bytes((side // 8 + 1) * side), 1)
    head = block(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + block(b"IDAT", rows) + block(b"IEND", b"")


def test_what_is_no_image_or_too_large_is_said_in_one_line(open_page):
    evaluate = open_page(page([8, 8, 1]))
    for content, message in {
        b"%PDF-1.7 ...": "a.pdf: not an image that this browser reads",
        b"": "a.pdf: not an image that this browser reads",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>': "a.pdf: not an image",
        black(8000): "a.pdf: too large: 8000×8000 pixels, at most 50 million are read",
    }.items():
        said = evaluate(f"classify({as_file(content, 'a.pdf')}, false).catch(e => e.message)")
        assert said.startswith(message)


EACH_KIND = [
    "overlapping", "border dropped", "border padded", "dense stem, batch norm", "shift_mlp",
    *(f"mlp, {name}" for name in ACTIVATIONS), "cnn", "cnn of patches",
]  # fmt: skip


@pytest.mark.whole
def test_each_kind_of_step_gives_what_it_gives_in_python(open_page):
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    tried = set()
    for name in EACH_KIND:
        section = {"model": {"name": "mixer"} | (FORMS | CNN_FORMS)[name]}
        settings = build_settings(section, {"data": {"mean": [0.3], "std": [0.6], "channels": 1}})
        network, weights = describe(lower(build_model(settings, (8, 8, 1), 10)))
        tried |= {step["kind"] for step in network["steps"]}
        expected = [run_steps(network, weights, image) for image in images]
        packed = pack(np.frombuffer(weights, "<f4"))
        evaluate = open_page(local_page(about([8, 8, 1], network=network), packed).html)
        text = base64.b64encode(images.tobytes()).decode()
        received = evaluate(f"probabilities('{text}')")
        np.testing.assert_allclose(received, expected, rtol=0, atol=1e-6, err_msg=name)
    assert tried == set(STEPS)


@pytest.mark.parametrize("dtype", ["<f4", "<f2"])
def test_numbers_are_packed_without_loss_and_a_tenth_larger_at_most(open_page, dtype):
    numbers = np.random.default_rng(0).normal(0, 0.05, 30_000).astype(dtype)
    numbers[:4] = 0, -0.0, 6e-8, -60_000  # the least that 16 bits have, nearly the most
    packed = pack(numbers)
    assert len(packed) <= 1.15 * numbers.nbytes
    size = numbers.itemsize
    evaluate = open_page(page([8, 8, 1]))
    worker = "at('worker').textContent.replace('onmessage', 'self.unused')"
    received = evaluate(
        f"new Promise(done => {{ const w = new Worker(URL.createObjectURL(new Blob([{worker},"
        f" 'onmessage = e => unpack(e.data, {size}).then(n => postMessage(n))'])));"
        f" w.onmessage = e => done([...e.data]); w.postMessage('{packed}'); }})"
    )
    np.testing.assert_array_equal(received, numbers)


def test_a_name_is_text_and_no_markup(open_page):
    name = "</script><script>document.title = 'run'</script><!--"
    evaluate = open_page(page([8, 8, 3], name=name, names=[name, "b", "c"]))
    assert evaluate("[at('name').textContent, document.title]") == [name, f"{name} · kmixer"]
    assert evaluate("document.scripts.length") == 4


def test_the_page_cannot_reach_anything_and_an_attempt_is_noticed(open_page, chromium):
    assert all(address.startswith("file:") for address in chromium.requested)  # of the tests above
    evaluate = open_page(page([8, 8, 1]))
    for attempt in ("fetch('http://127.0.0.1:9/a')", "new Image().src = 'http://127.0.0.1:9/b'"):
        refused = "onsecuritypolicyviolation = event => done(event.disposition)"
        said = evaluate(f"new Promise(done => {{ document.{refused}; {attempt}; }})")
        assert said == "enforce"
    assert any(address.startswith("http://127.0.0.1:9/") for address in chromium.requested)


@pytest.mark.whole
def test_only_a_page_with_these_scripts_alone_is_kmixers_own():
    html = page([8, 8, 1], name="<b>")
    assert is_own(html)
    assert not is_own(
        html.replace("fetch", "x").replace('"use strict"', '"use strict";fetch("//a")', 1)
    )
    assert not is_own(
        html.replace('id="weights">', 'id="weights"></script><script>1</script><script>')
    )
    assert not is_own(html + "<script>1</script>")
    assert not is_own(server_page(about([8, 8, 1])).html)
