"""The environment that a command is started in may be anyone's."""

import io
import os
import subprocess
import sys
import warnings

import pytest
from kmixer_cli.streams import prepare_streams
from kmixer_cli.terminal import Terminal
from rich.cells import cell_len

from kmixer import backend
from kmixer.data.dataset import data_folder
from kmixer.errors import KmixerWarning, SettingsError

ROWS = [["photos/black-footed_albatross/0007.png", "black-footed albatross 97.10 %", "語 2.90 %"]]
COLUMNS = ["file", "1.", "2."]


@pytest.mark.parametrize(
    ("content", "oddity"),
    [
        ('{"image_data_format": "channels_first"}', "image_data_format: 'channels_first'"),
        ('{"floatx": "float16", "backend": "jax"}', "floatx: 'float16'"),
        ('{"epsilon": 1}', "epsilon: 1"),
        ('{"backend": "theano"}', "backend: 'theano'"),
        ("[]", "no JSON object"),
        ("{", "no JSON object"),
        (None, "cannot be read"),  # a folder
    ],
)
def test_an_odd_keras_json_is_not_used_but_for_its_backend(tmp_path, monkeypatch, content, oddity):
    file = tmp_path / "keras.json"
    file.mkdir() if content is None else file.write_text(content)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND")
    monkeypatch.delitem(sys.modules, "keras")
    with pytest.warns(KmixerWarning, match=oddity):
        backend.prepare_environment()
    named = "jax" if "jax" in str(content) else backend.configured()
    assert os.environ["KERAS_BACKEND"] == named and os.environ["KERAS_HOME"] == os.devnull


@pytest.mark.parametrize("content", ["{}", '{"backend": "torch", "floatx": "float32"}', None])
def test_an_ordinary_keras_json_stays(tmp_path, monkeypatch, content):
    if content:
        (tmp_path / "keras.json").write_text(content)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delitem(sys.modules, "keras")
    backend.prepare_environment()
    assert os.environ["KERAS_HOME"] == str(tmp_path)


def test_a_keras_that_runs_gets_its_defaults_back(monkeypatch):
    import keras

    keras.config.set_image_data_format("channels_first")
    with pytest.warns(KmixerWarning, match="channels_first became channels_last"):
        backend.prepare_environment()
    assert keras.config.image_data_format() == "channels_last"


@pytest.mark.parametrize(("module", "stays"), [("nowhere.inline", False), ("json.tool", True)])
def test_a_module_that_draws_in_notebooks_only_is_forgotten(monkeypatch, module, stays):
    monkeypatch.setenv("MPLBACKEND", f"module://{module}")
    backend.prepare_environment()
    assert ("MPLBACKEND" in os.environ) == stays


def test_what_an_encoding_lacks_is_replaced(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, "ascii"))
    prepare_streams()
    print("8×8 … 語 é")
    sys.stdout.flush()
    assert written.getvalue() == b"8x8 ... \\u8a9e \\xe9\n"


@pytest.mark.parametrize(
    ("columns", "lines"),
    [("0", 1), ("garbage", 1), ("90", 1), ("60", 2), ("40", 3), ("20", 3)],
)
def test_a_table_that_is_too_wide_becomes_lines_that_lose_nothing(monkeypatch, columns, lines):
    monkeypatch.setenv("COLUMNS", columns)
    prepare_streams()
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    Terminal().table(None, COLUMNS, ROWS, fold=False)
    text = out.getvalue()
    assert all(cell in text for cell in ROWS[0])
    assert len([line for line in text.splitlines() if "png" in line or "%" in line]) == lines


WIDE_ROWS = [
    ["a sweep's run of three words", "fashion_mnist", "98.58 %", "92.10 %", "81,006", "24"],
    ["optimizer.learning_rate=0.003", "語語語", "8.58 %", "–", "59,880,472", "1,824"],
]
WIDE_COLUMNS = ["run", "data", "validation", "test", "parameters", "seconds"]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_table_keeps_every_word_and_fits_the_terminal(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    Terminal().table("a title of several words", WIDE_COLUMNS, WIDE_ROWS)
    lines = out.getvalue().splitlines()
    words = set(" ".join(lines).split())
    for cell in [*WIDE_COLUMNS[1:], *WIDE_ROWS[0], *WIDE_ROWS[1]]:
        assert words.issuperset(cell.split()), cell  # whole, nowhere cut or folded
    assert max(map(cell_len, lines)) <= width
    assert ("┏" in out.getvalue()) == (width == 200)


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_help_cuts_no_option_and_fits_the_terminal(run_command, width):
    done = run_command("train", "--help", env={"COLUMNS": str(width)})
    words = set(done.stdout.split())
    assert words >= {"--backend", "--steps-per-execution", "--learning-rate", "--weight-decay"}
    least = 46  # columns: of an option's names and ten of what they mean
    assert max(map(cell_len, done.stdout.splitlines())) <= max(width, least)
    assert ("╭" in done.stdout) == (width >= 80)


def test_a_dumb_terminal_gets_no_display_that_moves(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    terminal = Terminal()
    monkeypatch.setattr(terminal.console, "_force_terminal", True)
    out = io.StringIO()
    terminal.console.file = out
    with terminal.bar("reading") as show, terminal.status() as say:
        show(1, 2)
        say("now")
    assert out.getvalue() == ""


CLOSED = ["<&- >&- 2>&-", "2>&-", ">&-"]


@pytest.mark.parametrize("closed", CLOSED)
def test_closed_streams_and_warnings_as_errors_end_no_command(closed):
    """Nothing that is printed lands in a file that got a closed stream's number."""
    command = f"{sys.executable} -P -m kmixer_cli presets fmnist {closed}"
    environment = os.environ | {"PYTHONWARNINGS": "error", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout == "" if ">&-" in closed.split() else "kmixer train fmnist" in done.stdout


def test_without_a_home_only_what_lies_there_is_refused(monkeypatch):
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    with pytest.raises(SettingsError, match="no home folder here; set TFDS_DATA_DIR"):
        data_folder()
    assert str(data_folder("/data")) == "/data"


def test_a_folder_with_a_data_sets_name_is_told(run_command, tmp_path):
    (tmp_path / "fmnist").mkdir()
    done = run_command("data", "info", "fmnist", "--no-duplicates", cwd=tmp_path)
    assert "the folder fmnist that is here is ./fmnist" in done.stdout
    assert done.returncode == 0


def test_kmixers_own_warnings_are_one_line(run_command, monkeypatch):
    from kmixer.config import presets

    def warn():
        warnings.warn("look here", KmixerWarning, stacklevel=1)
        return []

    monkeypatch.setattr(presets, "preset_names", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("default", KmixerWarning)
        done = run_command("presets")
    assert "kmixer: look here\n" in done.stderr
