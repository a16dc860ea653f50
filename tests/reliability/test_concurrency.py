"""Processes that want the same folder or the same data set at once, or die while they have it."""

import os
import shutil
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import keras
import pytest

from cifar_archives import NAMES, content, write
from kmixer.data import load
from kmixer.data.sources import tfds
from kmixer.data.sources.cifar import cifar10
from kmixer.errors import DataError
from kmixer.runs.run import load_run

SUPPORT = Path(__file__).parent.parent / "support"
NAME = "tfds:halves_slowly"

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow" or os.name != "posix",
    reason="no backend computes here, and the locks and signals are those of POSIX",
)

# All of them begin in the same moment: when the last one is ready.
TOGETHER = """
import sys, time
from pathlib import Path
Path(sys.argv[1], f"ready-{sys.argv[2]}").touch()
while not Path(sys.argv[1], "go").exists():
    time.sleep(0.001)
"""
PREPARE = """
import tiny_tfds
from kmixer.data import load
TOGETHER
print(load("tfds:halves_slowly", sys.argv[3]).fingerprint())
"""
NUMBER = """
from kmixer.runs import naming
TOGETHER
print(naming.create_folder(lambda folder: (folder / "it").touch(), root=sys.argv[3], stem="halves"))
"""
IMPORT = """
import sys
import io, time
import numpy as np
from kmixer.data.sources import cifar

class Stalls(io.FileIO):
    def write(self, content):
        if self.tell() > 5e7:
            time.sleep(600)
        return super().write(content)

whole = np.savez
np.savez = lambda path, **arrays: whole(Stalls(path, "w"), **arrays)
cifar.CIFAR10.readers[sys.argv.pop()] = cifar.read_binary_batch
from kmixer_cli.main import main
main()
"""


def at_once(code, count, place, *arguments, **environment):
    """Run a program `count` times, all from the same moment on; return (stdout, stderr) of each."""
    place.mkdir()
    env = os.environ | environment
    env["PYTHONPATH"] = os.pathsep.join([str(SUPPORT), *sys.path])
    code = code.replace("TOGETHER", TOGETHER)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(place), str(number), *map(str, arguments)],
            env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for number in range(count)
    ]  # fmt: skip
    until = time.monotonic() + 120
    while len(list(place.glob("ready-*"))) < count and time.monotonic() < until:
        time.sleep(0.05)
    (place / "go").touch()
    said = [process.communicate(timeout=240) for process in started]
    assert [process.returncode for process in started] == [0] * count, said
    return said


def killed(command, done, **environment):
    """Start a command and end it with SIGKILL when `done()`."""
    env = os.environ | environment | {"PYTHONPATH": os.pathsep.join([str(SUPPORT), *sys.path])}
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    until = time.monotonic() + 120
    while not done():
        assert process.poll() is None and time.monotonic() < until, process.stderr.read()
        time.sleep(0.002)
    process.kill()
    process.communicate(timeout=60)


def test_ten_processes_at_once_get_ten_numbers(tmp_path):
    said = at_once(NUMBER, 10, tmp_path / "signs", tmp_path / "saved_models")
    folders = {out.strip() for out, _ in said}
    assert folders == {str(tmp_path / "saved_models" / f"halves-{n}") for n in range(1, 11)}
    assert {str(path) for path in (tmp_path / "saved_models").iterdir()} == folders


@pytest.mark.slow
def test_ten_trainings_at_once_get_ten_whole_runs(image_folder, tmp_path, saw):
    command = [
        sys.executable, "-m", "kmixer_cli", "train", image_folder, "--epochs", "1", "--no-jit",
        "--batch-size", "16", "--set", "data.validation_size=20", "--patch-size", "4",
    ]  # fmt: skip
    started = [
        subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        for _ in range(10)
    ]
    said = [process.communicate(timeout=580)[1] for process in started]
    assert [process.returncode for process in started] == [0] * 10, said
    folders = sorted((tmp_path / "saved_models").iterdir())
    assert {path.name for path in folders} == {f"halves-{n}" for n in range(1, 11)}
    losses = {load_run(folder).metrics["best"]["test"]["loss"] for folder in folders}
    assert len(losses) == 1  # one seed, undisturbed
    saw("concurrency", "10 trainings, 10 whole runs; 3 preparing at once: one preparation, "
        "3 equal copies read; killed preparations and imports: none taken for whole")  # fmt: skip


@pytest.mark.slow
def test_three_processes_prepare_one_data_set_once(tmp_path):
    folder, log = tmp_path / "data", tmp_path / "log"
    said = at_once(PREPARE, 3, tmp_path / "signs", folder, HALVES_LOG=str(log))
    assert len({out for out, _ in said}) == 1
    assert len(log.read_text().splitlines()) == 80  # each image was prepared once
    assert sorted(p.name for p in (folder / "halves_slowly").iterdir()) == ["1.0.0"]
    assert sum("which prepares it" in err for _, err in said) >= 1


@pytest.mark.whole
@pytest.mark.parametrize(
    "moment",
    [0.5, *(pytest.param(m, marks=pytest.mark.torture) for m in (0.1, 0.3, 0.7, 0.75, 0.9, 1.0))],
)
def test_a_killed_preparation_is_not_taken_for_a_whole_one(tmp_path, monkeypatch, moment):
    """Killed when that share of the images is prepared; the next one waits for no dead process."""
    import tiny_tfds

    folder, log = tmp_path / "data", tmp_path / "log"
    code = f"import tiny_tfds; from kmixer.data import load; load('{NAME}', '{folder}')"
    images = round(moment * sum(tiny_tfds.COUNTS.values()))
    killed(
        [sys.executable, "-c", code],
        lambda: log.exists() and len(log.read_text().splitlines()) >= images,
        HALVES_LOG=str(log),
        HALVES_STALL=str(images),
    )
    whole = (folder / "halves_slowly" / "1.0.0").exists()
    assert not whole or moment == 1.0
    monkeypatch.setenv("HALVES_LOG", str(tmp_path / "again"))
    loaded = load(NAME, folder)
    assert (tmp_path / "again").exists() != whole  # prepared anew, from the first image on
    assert {"train": len(loaded.train), "test": len(loaded.test)} == tiny_tfds.COUNTS
    assert sorted(loaded.train.images[:, 0, 0, 0]) == list(range(60))


def test_a_prepared_data_set_that_was_damaged_says_so(tmp_path, monkeypatch):
    import tiny_tfds  # noqa: F401

    monkeypatch.setenv("HALVES_LOG", str(tmp_path / "log"))
    load(NAME, tmp_path)
    (records,) = (tmp_path / "halves_slowly").rglob("*train.tfrecord*")
    os.truncate(records, records.stat().st_size // 2)
    with pytest.raises(DataError, match="is not what was prepared; remove the folder") as caught:
        load(NAME, tmp_path)
    assert "\n" not in str(caught.value)
    shutil.rmtree(tmp_path / "halves_slowly")
    assert len(load(NAME, tmp_path).train) == 60


@pytest.mark.whole
@pytest.mark.parametrize("before", [False, True])
def test_a_killed_import_leaves_what_was_there_before(tmp_path, monkeypatch, before):
    members = {name: content(number, "binary") for number, name in enumerate(NAMES)}
    archive = write(tmp_path / "a.tar.gz", "binary", members, monkeypatch)
    folder = tmp_path / "data"
    if before:
        cifar10.import_archive(archive, folder)
    digest = sha256(archive.read_bytes()).hexdigest()
    command = [sys.executable, "-c", IMPORT, "data", "import", "cifar10", archive, "--data-dir",
               folder, digest]  # fmt: skip
    monkeypatch.setattr(tfds, "is_reachable", lambda host: False)
    killed(command, lambda: any(p.stat().st_size > 4e7 for p in folder.glob(".*.tmp.npz")))
    assert cifar10.imported_file(folder).exists() == before
    if not before:
        with pytest.raises(DataError, match="not prepared"):
            load("cifar10", folder)
        cifar10.import_archive(archive, folder)  # waits for no dead process
        assert not list(folder.glob(".*.tmp.npz"))  # and sweeps up after it
    assert len(load("cifar10", folder).train) == 50_000
