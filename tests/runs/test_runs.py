import json
import os
import threading
import zipfile

import numpy as np
import pytest
import yaml

from kmixer.config import loading
from kmixer.errors import RunError
from kmixer.files import atomic
from kmixer.runs.run import create_run, load_run


@pytest.fixture
def folder(trained_run):
    return trained_run.folder


@pytest.fixture
def copy(folder, tmp_path):
    import shutil

    return shutil.copytree(folder, tmp_path / "copy")


def create(root, **options):
    return create_run(
        loading.build_settings(),
        {"command": "kmixer"},
        ("a", "b"),
        root=root,
        stem="data/set 1",
        **options,
    )


def test_names_are_numbered_and_clean(tmp_path):
    assert [create(tmp_path).folder.name for _ in range(3)] == [
        f"data-set-1-{n}" for n in (1, 2, 3)
    ]


def test_ten_at_once_get_ten_folders(tmp_path):
    threads = [threading.Thread(target=create, args=(tmp_path,)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(tmp_path.iterdir())) == 10


def test_name_and_out_are_kept_and_never_overwritten(tmp_path):
    assert create(tmp_path, name="mine").folder == tmp_path / "mine"
    assert create(tmp_path, out=tmp_path / "deep" / "er").folder == tmp_path / "deep" / "er"
    with pytest.raises(RunError, match="already there"):
        create(tmp_path, name="mine")


def test_a_file_where_the_runs_should_go_is_refused(tmp_path):
    (tmp_path / "saved_models").write_text("")
    with pytest.raises(RunError, match="saved_models: cannot be made"):
        create(tmp_path / "saved_models")


def test_a_run_is_read_back(folder):
    run = load_run(folder)
    assert run.finished and run.class_names == ("above", "below")
    images = np.zeros((2, 8, 8, 1), np.uint8)
    assert run.load_model().predict(images, verbose=0).shape == (2, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "config.yaml").unlink(), "holds no config.yaml"),
        (lambda f: (f / "config.yaml").write_text("data: {}\n"), "no section 'run'"),
        (lambda f: (f / "config.yaml").write_text("run: {format: 99}\n"), "run format 99"),
    ],
)
def test_what_is_no_run_folder_is_refused(copy, change, message):
    change(copy)
    with pytest.raises(RunError, match=message):
        load_run(copy)


def _rewritten(folder, **members):
    """Write model.keras anew with some members changed, left out (None) or added."""
    path = folder / "model.keras"
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()} | members
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            if data is not None:
                archive.writestr(name, data)


def _break_the_directory(folder):
    content = bytearray((folder / "model.keras").read_bytes())
    content[content.rindex(b"PK\x01\x02")] = 0
    (folder / "model.keras").write_bytes(content)


def _flip_a_byte(folder):
    content = bytearray((folder / "model.keras").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (folder / "model.keras").write_bytes(content)


def _other_shape(folder):
    values = yaml.safe_load((folder / "config.yaml").read_text())
    values["model"]["hidden_dim"] = 6
    (folder / "config.yaml").write_text(yaml.safe_dump(values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "model.keras").unlink(), "missing"),
        (lambda f: (f / "model.keras").write_bytes(b""), "damaged"),
        (lambda f: os.truncate(f / "model.keras", 3000), "damaged"),
        (lambda f: (f / "model.keras").write_bytes(b"no zip file"), "no .keras file"),
        (_flip_a_byte, "damaged"),
        (_break_the_directory, "damaged"),
        (lambda f: _rewritten(f, **{"model.weights.h5": None}), "no .keras file: it holds"),
        (lambda f: _rewritten(f, **{"extra.py": b"print()"}), "no .keras file: it holds"),
        (lambda f: _rewritten(f, **{"model.weights.h5": bytes(10**8)}), "would unpack to 1"),
        (lambda f: _rewritten(f, **{"model.weights.h5": b"no h5"}), "weights cannot be read"),
        (_other_shape, "weights are not those of the model"),
    ],
)
def test_bad_weights_are_refused_in_one_line(copy, change, message):
    change(copy)
    with pytest.raises(RunError, match=message) as caught:
        load_run(copy).load_model()
    assert "\n" not in str(caught.value)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "metrics.json"
    atomic.write_text(path, "old")
    with pytest.raises(RunError, match="cannot be written"), atomic.replacing(path) as temporary:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["metrics.json"]


def test_metrics_are_json(folder):
    assert json.loads((folder / "metrics.json").read_text())["epochs"] == 6


def test_a_history_with_an_endless_cell_is_damaged(copy):
    (copy / "history.csv").write_text("epoch,loss\n1," + "1" * 200_000 + "\n")
    with pytest.raises(RunError, match=r"history\.csv: damaged: field larger than"):
        _ = load_run(copy).history


@pytest.mark.parametrize("key", ["flops", "parameters", "peak_memory_bytes", "epochs"])
def test_metrics_larger_than_any_number_are_damaged(copy, key):
    path = copy / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: 10**400}))
    with pytest.raises(RunError, match=f"metrics.json: damaged, .*{key}: received 1000"):
        _ = load_run(copy).metrics
