"""Nothing asks the network unasked: no import, no help, no training, no export; no telemetry."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import keras
import pytest

from tiny_settings import tiny_flags

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the same for every backend"
)

# Python reads it at its start, in every process that one starts; what was asked is kept in a file,
# because what asks for the network in passing swallows the error.
REFUSE = """
import os, socket

def refuse(name):
    asked = getattr(socket.socket, name, None) or getattr(socket, name)

    def asks(*arguments, **options):
        if not (arguments and getattr(arguments[0], "family", None) == socket.AF_UNIX):
            with open(os.environ["ASKED"], "a") as file:
                file.write(f"{name} {arguments}\\n")
            raise OSError(101, "Network is unreachable")
        return asked(*arguments, **options)

    return asks

for name in ("connect", "connect_ex", "sendto", "sendmsg"):
    setattr(socket.socket, name, refuse(name))
for name in ("getaddrinfo", "gethostbyname", "create_connection"):
    setattr(socket, name, refuse(name))
"""
HELPS = """
from typer.main import get_command
import kmixer, kmixer_cli.main as cli

def lines(command, words=()):
    yield words
    for name, below in getattr(command, "commands", {}).items():
        yield from lines(below, (*words, name))

for words in lines(get_command(cli.app)):
    try:
        cli.main([*words, "--help"])
    except SystemExit as ended:
        assert ended.code == 0, words
for name in kmixer.__all__:
    getattr(kmixer, name)
"""

COMMANDS = """
import sys
import kmixer_cli.main as cli

images, tiny = sys.argv[1], sys.argv[2:]
for command in (
    ("data", "info", "fmnist", "--no-duplicates"),
    ("train", images, "--epochs", "1", "--out", "run", *tiny),
    ("evaluate", "run"),
    ("predict", "run", "run/curves.png"),
):
    try:
        cli.main(command)
    except SystemExit as ended:
        assert not ended.code, command
"""


@pytest.fixture
def offline(tmp_path):
    """A function that runs Python without a network; it returns what it wrote, and what it asked."""
    place, asked = tmp_path / "refusing", tmp_path / "asked"
    place.mkdir()
    (place / "sitecustomize.py").write_text(REFUSE)
    paths = [str(place), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "ASKED": str(asked)}
    env["TRACKIO_DIR"] = str(tmp_path / "trackio")
    env.pop("CI", None)  # where some telemetry keeps quiet

    def run(*arguments):
        done = subprocess.run(
            [*_no_network(), sys.executable, *map(str, arguments)], cwd=tmp_path, env=env,
            capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout, asked.read_text() if asked.exists() else ""

    return run


def _no_network():
    """Return the command that gives a process a network of its own, empty, where it is allowed."""
    command = ["unshare", "--user", "--map-root-user", "--net"]
    if shutil.which("unshare") and not subprocess.run([*command, "true"], check=False).returncode:
        return command
    return []


def test_what_asks_for_the_network_is_seen(offline):
    ask = "import socket\ntry: socket.create_connection(('192.0.2.1', 9))\nexcept OSError: pass"
    assert "192.0.2.1" in offline("-c", ask)[1]


@pytest.mark.whole
def test_no_import_and_no_help_asks_for_the_network(offline):
    said, asked = offline("-c", HELPS)
    assert not asked
    for command in re.findall(r"^\| [^|]+ \| `kmixer (?:data )?([a-z-]+)", _guide(), re.M):
        assert f"{command} " in said, command


@pytest.mark.whole
def test_a_training_its_evaluation_and_a_prediction_ask_nothing(
    offline, image_folder, tmp_path, saw
):
    trackers = [name for name in ("mlflow", "trackio") if find_spec(name)]
    followed = [word for name in trackers for word in ("--track", name)]
    assert not offline("-c", COMMANDS, image_folder, *tiny_flags(), *followed)[1]
    run = tmp_path / "run"
    assert (run / "metrics.json").is_file() and any((run / "evaluation").iterdir())
    saw("supply chain", "no connection by any help, import, training, evaluation or prediction")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("tensorflow", ["--format", "tflite", "--format", "saved_model"]),
        ("openvino", ["--format", "openvino"]),
        ("tf2onnx", ["--format", "onnx"]),
    ],
)
def test_no_export_sends_anything(offline, trained_run, tmp_path, package, arguments):
    if not find_spec(package):
        pytest.skip(f"{package} is not installed")
    run = shutil.copytree(trained_run.folder, tmp_path / "run")
    assert not offline("-m", "kmixer_cli", "export", run, *arguments)[1]


def _guide():
    return (ROOT / "docs" / "guide.md").read_text()
