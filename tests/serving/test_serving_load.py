"""The server under 20,000 requests: no wrong answer, no 5xx but 503, no growing memory."""

import runpy
from pathlib import Path

import keras
import pytest

pytest.importorskip("fastapi")
MEASURE = Path(__file__).parent.parent.parent / "docs" / "measure" / "serve.py"


@pytest.mark.torture
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a server has no backend")
def test_every_answer_is_right_and_memory_steady(tflite_export):
    measure = runpy.run_path(str(MEASURE))
    with measure["Server"](tflite_export.folder) as server:
        report = measure["check_answers"](server, measure["request_bodies"](tflite_export))
    counts = report["counts"]
    assert "wrong" not in counts
    assert counts["malformed, refused (400)"] == 20_000 / 16
    assert counts["right (200)"] + counts.get("busy (503)", 0) == 20_000 * 15 / 16
    assert report["megabytes_at_the_end"] < 1.1 * report["megabytes_after_a_tenth"] + 10
