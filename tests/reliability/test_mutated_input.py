"""Files and texts that no one thought of: any bytes end in kmixer's own error, or are read."""

import io
import json
import zipfile

import keras
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kmixer.config import loading, yaml_files
from kmixer.data.decode import Decoding, decode
from kmixer.data.sources import image_folder
from kmixer.data.sources.idx import read_idx
from kmixer.errors import DataError, KmixerError, RunError, SettingsError, describe
from kmixer.exporting.artifact import load_artifact
from kmixer.files import keras_archive
from kmixer.files.npz import read_arrays
from kmixer.runs.metrics import read_metrics
from kmixer.runs.run import load_run
from kmixer.serving import protocol
from kmixer.tuning.space.command_line import parse_search
from kmixer.tuning.sweep import parse_grid

if keras.backend.backend() != "tensorflow":
    pytest.skip("files are read before Keras", allow_module_level=True)

quickly = settings(
    max_examples=60, deadline=5000, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
CONFIG = yaml.safe_dump(json.loads(loading.build_settings().model_dump_json()))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@st.composite
def mutated(draw, content):
    """Return content with bytes changed, cut out or put in."""
    content = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        content[at : at + draw(st.integers(0, 20))] = draw(st.binary(max_size=20))
    return bytes(content)


def npz():
    buffer = io.BytesIO()
    np.savez(buffer, a=np.arange(50), b=np.ones((2, 3), np.float32))
    return buffer.getvalue()


def png():
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(buffer, "PNG")
    return buffer.getvalue()


IDX = b"\0\0\x08\x02" + (4).to_bytes(4, "big") + (5).to_bytes(4, "big") + bytes(range(20))


def refused(error, call, *arguments):
    """Call; whatever it raises has to be kmixer's own error of that kind, in one line."""
    try:
        return call(*arguments)
    except error as raised:
        assert "\n" not in describe(raised)
        return None


@quickly
@given(mutated(CONFIG.encode()))
def test_settings_files(tmp_path, content):
    (tmp_path / "s.yaml").write_bytes(content)
    refused(
        SettingsError, lambda: loading.build_settings(yaml_files.read_file(tmp_path / "s.yaml"))
    )  # fmt: skip


@quickly
@given(
    st.dictionaries(
        st.sampled_from(["data", "model", "search", "training", "x"]), VALUES, max_size=3
    )
)
def test_settings_of_any_values(values):
    built = refused(SettingsError, loading.build_settings, values)
    assert built is None or loading.dump(built)


@quickly
@given(st.text(max_size=60))
def test_texts_of_options(text):
    refused(SettingsError, lambda: loading.build_settings(loading.parse_assignment(text)))
    refused(SettingsError, parse_grid, [text])
    refused(SettingsError, parse_search, [text])


@quickly
@given(mutated(IDX))
def test_idx_files(content):
    import gzip

    class File:
        def read_bytes(self):
            return gzip.compress(content)

        def __str__(self):
            return "file"

    refused(DataError, read_idx, File())


@quickly
@given(mutated(npz()))
def test_npz_files(tmp_path, content):
    (tmp_path / "w.npz").write_bytes(content)
    refused((ValueError, OSError), read_arrays, tmp_path / "w.npz")


@quickly
@given(mutated(png()) | st.binary(max_size=200))
def test_images(content):
    refused(DataError, decode, io.BytesIO(content), Decoding(8, 8, 1), "image")
    refused(DataError, protocol.read_file, content, Decoding(8, 8, 1))


@quickly
@given(
    st.binary(max_size=200) | VALUES.map(lambda value: json.dumps({"instances": value}).encode())
)
def test_requests(content):
    refused(DataError, protocol.read_body, content, Decoding(8, 8, 1), 16)


@quickly
@given(data=st.data())
def test_run_folders(trained_run, tmp_path, data):
    """Each file of a run by itself, the others whole."""
    name = data.draw(st.sampled_from(["config.yaml", "history.csv", "metrics.json", "labels.txt"]))
    for whole in ("config.yaml", "history.csv", "metrics.json", "labels.txt"):
        (tmp_path / whole).write_bytes((trained_run.folder / whole).read_bytes())
    (tmp_path / name).write_bytes(data.draw(mutated((trained_run.folder / name).read_bytes())))
    run = refused(KmixerError, load_run, tmp_path)
    if run is not None:
        refused(RunError, lambda: (run.history, run.metrics, run.class_names))
        refused(RunError, run.check_model)


@pytest.mark.whole
@quickly
@given(data=st.data())
def test_model_files(trained_run, tmp_path, data):
    """Changed as a whole, or one of its members, its checksum right."""
    content = (trained_run.folder / "model.keras").read_bytes()
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = data.draw(st.sampled_from([None, *members]))
    if name is None:
        path.write_bytes(data.draw(mutated(content)))
    else:
        members[name] = data.draw(mutated(members[name]))
        with zipfile.ZipFile(path, "w") as archive:
            for member, each in members.items():
                archive.writestr(member, each)
    refused(RunError, keras_archive.read_weights, path, trained_run.build_model())


@quickly
@given(data=st.data())
def test_manifests(tflite_export, tmp_path, data):
    content = (tflite_export.folder / "manifest.json").read_bytes()
    (tmp_path / "manifest.json").write_bytes(data.draw(mutated(content)))
    refused(RunError, lambda: load_artifact(tmp_path).open())


@quickly
@given(st.text(max_size=100))
def test_metrics(tmp_path, text):
    (tmp_path / "metrics.json").write_text(text, encoding="utf-8")
    refused(RunError, read_metrics, tmp_path / "metrics.json")


@quickly
@given(
    st.lists(
        st.text(st.characters(blacklist_characters="/\0", codec="utf-8"), min_size=1, max_size=20),
        max_size=4,
    )
)
def test_names_of_files_and_folders(tmp_path, names):
    folder = tmp_path / str(abs(hash(tuple(names))))
    folder.mkdir(exist_ok=True)
    for name in names:
        if name not in (".", "..") and len(name.encode()) < 200:
            (folder / name).mkdir(exist_ok=True)
    refused(DataError, image_folder.check, folder)
