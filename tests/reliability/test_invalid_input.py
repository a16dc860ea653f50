"""Whatever a user gets wrong ends in one line, with exit code 1 or 2, and leaves nothing behind."""

import shutil
import time

import keras
import pytest

from invalid_input.case import Good, every_case
from subprocess_usage import kmixer, python

if keras.backend.backend() != "tensorflow":
    pytest.skip("what is read before Keras has no backend", allow_module_level=True)

CASES = list(every_case())
MOST_SECONDS = 5
LIGHT_MEGABYTES = 350  # a process with TensorFlow has more


@pytest.fixture(scope="session")
def good(trained_run, tflite_export, image_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("good") / "run"
    shutil.copytree(trained_run.folder, folder)
    return Good(folder, tflite_export.folder, image_folder)


def listing(folder):
    """Return each path below a folder with what would show that it was written to."""
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*") if not path.is_dir()}


def test_there_are_three_hundred_of_all_commands():
    assert len({case.id for case in CASES}) == len(CASES) >= 300
    commands = {case.words[0] for case in CASES if case.words}
    assert len(commands) >= 16


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_bad_input_is_refused_in_one_line(case, good, tmp_path, monkeypatch, capsys):
    from kmixer_cli.main import main

    monkeypatch.chdir(tmp_path)
    case.prepare(tmp_path, good)
    before = listing(tmp_path)
    began = time.process_time()  # whatever else the machine does
    with pytest.raises(SystemExit) as ended:
        main(good.words(case))
    seconds = time.process_time() - began
    check(case, ended.value.code, *capsys.readouterr())
    assert listing(tmp_path) == before
    assert seconds < MOST_SECONDS


def check(case, code, printed, said):
    assert code in (1, 2), said
    assert said.startswith("kmixer: ") and said.count("\n") == 1, said
    assert "Traceback" not in printed + said
    assert "--debug shows where" not in said, "nobody foresaw this one"
    assert any(name.lower() in said.lower() for name in case.named), (case.named, said)


@pytest.mark.parametrize(
    "name",
    ["predict text.png", "import-weights weights.npz, cut", "train cifar10, prepared, cut",
     "report run --out 'no/such/report.html'", "resume, finished"],
)  # fmt: skip
def test_what_needs_no_model_is_told_before_keras_is_imported(name, good, tmp_path):
    case = next(case for case in CASES if case.id == name)
    here = tmp_path / "here"
    here.mkdir()
    case.prepare(here, good)
    done = kmixer(good.words(case), here)
    check(case, done.code, done.stdout, done.stderr)
    assert done.megabytes < LIGHT_MEGABYTES


@pytest.mark.torture
def test_bad_input_is_refused_as_fast_by_a_process(good, tmp_path, saw):
    """TensorFlow, where a mistake shows only in a model that is built, has its own start on top."""
    start = python(["-c", "import keras"], tmp_path).seconds
    slowest = {False: 0, True: 0}
    for number, case in enumerate(CASES):
        here = tmp_path / str(number)
        here.mkdir()
        case.prepare(here, good)
        before = listing(here)
        done = kmixer(good.words(case), here)
        check(case, done.code, done.stdout, done.stderr)
        assert listing(here) == before, case.id
        heavy = done.megabytes > LIGHT_MEGABYTES
        slowest[heavy] = max(slowest[heavy], done.seconds)
        assert done.seconds < MOST_SECONDS + heavy * start, case.id
        shutil.rmtree(here)
    saw(
        "bad input",
        f"{len(CASES)} of {len(CASES)}, slowest {slowest[False]:.1f} s of the processor; where"
        f" TensorFlow has to start, which takes {start:.1f} s of it here, {slowest[True]:.1f} s",
    )
