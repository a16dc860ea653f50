"""An export folder of an earlier version is still opened and served.

`format-1` was written by the version before the modules were moved (commit a0738f6), with `kmixer
export --format tflite` of a Mixer trained on the images of `tiny_dataset`. Only the path of its data
set was shortened. `expected.json` holds the probabilities of every tenth test image.
"""

import base64
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kmixer.exporting.artifact import load_artifact
from kmixer.serving import selection

EXPORT = Path(__file__).parent / "format-1"
EXPECTED = json.loads((EXPORT / "expected.json").read_text())["probabilities"]


@pytest.fixture(scope="module")
def image_files(image_folder):
    """Every tenth test image."""
    return sorted((image_folder / "test").rglob("*.png"))[::10]


def test_it_holds_no_path_of_the_machine_that_wrote_it():
    for file in EXPORT.iterdir():
        content = file.read_bytes()
        assert b"/tmp/" not in content and b"/home/" not in content, file


def test_it_opens_and_answers_as_it_did_then(image_files):
    artifact = load_artifact(EXPORT)
    assert artifact.class_names == ("above", "below") and artifact.image_shape == (8, 8, 1)
    predict, runtime = artifact.open()
    assert runtime
    images = np.stack([np.asarray(Image.open(file))[..., None] for file in image_files])
    np.testing.assert_allclose(predict(images), EXPECTED, atol=1e-5)


def test_a_run_that_holds_it_is_served_without_a_new_export(image_files, tmp_path):
    pytest.importorskip("fastapi")
    pytest.importorskip("httpx2")
    from starlette.testclient import TestClient

    from kmixer.serving.app import build_app

    shutil.copytree(EXPORT, tmp_path / "export" / "tflite")
    artifact = selection.find_artifact(tmp_path, pytest.fail)
    assert artifact.folder == tmp_path / "export" / "tflite"
    instances = [{"b64": base64.b64encode(file.read_bytes()).decode()} for file in image_files]
    name = selection.served_name(artifact)
    with TestClient(build_app(artifact, name)) as client:
        answer = client.post(f"/v1/models/{name}:predict", json={"instances": instances})
        metadata = client.get(f"/v1/models/{name}/metadata").json()["metadata"]
    np.testing.assert_allclose(answer.json()["predictions"], EXPECTED, atol=1e-5)
    assert metadata["format"] == "tflite" and metadata["proof"]["images"] == 40
