"""Files that want more than to be read: refused in one line, nothing run, nothing written."""

import keras
import pytest

import hostile_files
from hostile_files import CANARY, OTHERS, RUNS
from invalid_input.case import Good
from subprocess_usage import kmixer

if keras.backend.backend() != "tensorflow":
    pytest.skip("a file is refused whatever the backend", allow_module_level=True)

READERS = {
    "predict": ("predict", "run", "{images}"),
    "evaluate": ("evaluate", "run"),
    "export": ("export", "run", "--format", "tflite"),
    "serve": ("serve", "run", "--port", "0"),
    "finetune": ("finetune", "run", "{images}"),
}
NEED_KERAS = ("a Lambda layer", "a TFSMLayer", "a function of a module", "a class of a module", "NaN",
              "weights that do not fit")  # fmt: skip
MOST_MEGABYTES = 1000


@pytest.fixture
def good(trained_run, tflite_export, image_folder):
    return Good(trained_run.folder, tflite_export.folder, image_folder)


def prepare(kind, here, good):
    """Put a hostile file there; return the words of the command that OTHERS reads it with, or None."""
    good.copy_run(here / "run")
    if kind in RUNS:
        RUNS[kind](here / "run")
        return None
    make, words = OTHERS[kind]
    make(here)
    (here / "run" / "metrics.json").unlink()
    return [word.replace("{images}", str(good.images)) for word in words]


def contents(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def check(code, said, here, before):
    assert code in (1, 2), said
    assert said.startswith("kmixer: ") and said.count("\n") == 1, said
    assert "--debug shows where" not in said
    assert contents(here) == before and not (here / CANARY).exists()


@pytest.mark.parametrize("kind", [*RUNS, *OTHERS])
def test_a_hostile_file_is_refused(kind, good, tmp_path, monkeypatch, capsys):
    from kmixer_cli.main import main

    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    only = prepare(kind, here, good)
    before = contents(tmp_path)
    commands = {"its own": only} if only else READERS
    for command, words in commands.items():
        if command == "serve" and kind in NEED_KERAS:  # told by the export that it starts, as above
            continue
        with pytest.raises(SystemExit) as ended:
            main([word.replace("{images}", str(good.images)) for word in words])
        check(ended.value.code, capsys.readouterr().err, tmp_path, before)


@pytest.mark.torture
def test_hostile_files_fill_no_memory(good, tmp_path, monkeypatch, saw):
    monkeypatch.setattr(hostile_files, "ZEROS", 1_500_000_000)
    kinds, most = [*RUNS, *OTHERS], 0
    for number, kind in enumerate(kinds):
        here = tmp_path / str(number)
        here.mkdir()
        words = prepare(kind, here, good) or READERS["predict"]
        before = contents(here)
        done = kmixer([word.replace("{images}", str(good.images)) for word in words], here)
        check(done.code, done.stderr, here, before)
        most = max(most, done.megabytes)
        assert done.megabytes < MOST_MEGABYTES, kind
    saw(
        "hostile files",
        f"{len(kinds)} of {len(kinds)} refused, at most {most:,.0f} MB in memory, TensorFlow included",
    )
