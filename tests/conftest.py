"""Small data sets, small settings, and the command line as a user meets it."""

import atexit
import ctypes
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

import hypothesis  # noqa: F401 (imported after trio, which selenium brings, it ends pytest with a warning)
import pytest

import kmixer
import tiny_dataset
from kmixer import backend
from one_process import run_here
from tiny_settings import tiny_settings

# Read by the processes that run the tests side by side, which start after this. Without it the C library
# keeps an arena of freed memory for each of the many threads of tf.data and XLA.
os.environ.setdefault("MALLOC_ARENA_MAX", "2")

# No test writes into the user's cache of decoded images.
os.environ["KMIXER_CACHE"] = tempfile.mkdtemp(prefix="kmixer-test-cache-")
atexit.register(shutil.rmtree, os.environ["KMIXER_CACHE"], ignore_errors=True)

# A job that a script starts in the background ignores Ctrl-C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

backend.select(os.environ.get("KERAS_BACKEND", "tensorflow"))

ROOT = Path(__file__).parent.parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Make what is `whole` slow, too, before pytest chooses; a case that is longer is not whole."""
    for item in items:
        if item.get_closest_marker("whole"):
            if item.get_closest_marker("slow") or item.get_closest_marker("torture"):
                item.own_markers = [mark for mark in item.own_markers if mark.name != "whole"]
            else:
                item.add_marker("slow")


GROWTH = (
    100  # MB after which a test's garbage is collected: TensorFlow's functions are full of cycles
)
_collected_at = {"MB": 0}


@pytest.fixture(autouse=True)
def _collect_garbage():
    """Free what a test's models and compiled functions hold: gigabytes of it over all files."""
    yield
    if _resident_megabytes() < _collected_at["MB"] + GROWTH:
        return
    gc.collect()
    if os.environ["KERAS_BACKEND"] == "jax":
        import jax

        jax.clear_caches()
    with suppress(
        OSError, AttributeError
    ):  # the C library keeps freed memory; glibc alone has this
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    _collected_at["MB"] = _resident_megabytes()


def _resident_megabytes():
    """Return the memory of this process, 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory):
    """The images of `halves`: 60 + 20 a class."""
    return tiny_dataset.write_images(tmp_path_factory.mktemp("images") / "halves")


@pytest.fixture
def tiny(image_folder):
    """The keys of a training that takes seconds."""
    return tiny_settings(image_folder)


@pytest.fixture(scope="session")
def trained_run(image_folder, tmp_path_factory):
    """A finished run that tells `above` from `below`: two Mixer blocks, trained in seconds."""
    settings = kmixer.build_settings(
        tiny_settings(image_folder, optimizer={"learning_rate": 0.02}, training={"epochs": 6})
    )
    run = kmixer.train(settings, root=tmp_path_factory.mktemp("trained"))
    assert run.metrics["best"]["test"]["accuracy"] == 1.0  # or the tests that ask it mean nothing
    return run


@pytest.fixture(scope="session")
def tflite_export(trained_run, tmp_path_factory):
    """The TFLite export of `trained_run`."""
    from kmixer.evaluation.images import load_data
    from kmixer.exporting.export import export_run
    from kmixer.exporting.reference import Reference

    reference = Reference(trained_run, load_data(trained_run))
    return export_run(reference, "tflite", out=tmp_path_factory.mktemp("tflite"))


@pytest.fixture(scope="session")
def phone_chromium():
    screen = {"width": 390, "height": 844, "pixelRatio": 2.0}
    chrome = _open_chromium(mobileEmulation={"deviceMetrics": screen})
    yield chrome
    chrome.quit()


@pytest.fixture
def browser(phone_chromium):
    """Headless Chromium with the screen of a phone, which is touched; what it logged is read."""
    phone_chromium.get_log("browser")
    return phone_chromium


@pytest.fixture(scope="session")
def laptop_chromium():
    chrome = _open_chromium()
    chrome.set_window_size(1280, 900)
    yield chrome
    chrome.quit()


@pytest.fixture
def laptop_browser(laptop_chromium):
    """Headless Chromium with the screen of a laptop, which has a mouse; what it logged is read."""
    laptop_chromium.get_log("browser")
    return laptop_chromium


def _open_chromium(**options):
    """Open a browser with these of Chromium's options; skip the test where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not program or not driver:
        assert not os.environ.get("KMIXER_BROWSER"), "chromium and chromedriver are required"
        pytest.skip("no chromium and chromedriver on this machine")
    from selenium import webdriver

    chosen = webdriver.ChromeOptions()
    chosen.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        chosen.add_argument(argument)
    for name, value in options.items():
        chosen.add_experimental_option(name, value)
    return webdriver.Chrome(chosen, webdriver.ChromeService(driver))


@pytest.fixture
def tiny_size(monkeypatch):
    """A size `tiny` beside the paper's: two blocks; for 12×12 pixels it has nine tokens."""
    from kmixer.models import SIZES

    size = {
        "patch_size": 4, "blocks": 2, "hidden_dim": 16, "tokens_mlp_dim": 8, "channels_mlp_dim": 64,
    }  # fmt: skip
    monkeypatch.setitem(SIZES, "tiny", size)


_passed = Counter()


def pytest_runtest_logreport(report):
    """Count what passed, by the test without its case, for the fixture `passed`."""
    if report.when == "call" and report.passed:
        _passed[report.nodeid.partition("[")[0]] += 1


@pytest.fixture
def passed(request):
    """A function: how many cases of a test of the same file have passed so far.

    It skips the test that asks where none has, as with `-k`.
    """

    def count(test):
        file = request.node.nodeid.partition("::")[0]
        if not (cases := _passed[f"{file}::{test.__name__}"]):
            pytest.skip(f"no case of {test.__name__} has run")
        return cases

    return count


@pytest.fixture
def saw():
    """A function that records a figure for docs/reliability.md, where that is asked for."""

    def record(row, figure):
        if os.environ.get("KMIXER_WRITE_RELIABILITY") != "1":
            return
        path = ROOT / "docs" / "runs" / "reliability.json"
        figures = json.loads(path.read_text()) | {row: figure}
        path.write_text(json.dumps(dict(sorted(figures.items())), indent=2) + "\n")

    return record


@pytest.fixture(scope="session")
def kmixer_cli():
    """A function that runs `kmixer` as a process of its own and returns it finished."""

    def run(*arguments, cwd=None, env=None, timeout=180, limits=()):
        def limit():  # before the command begins, as `ulimit` does in a shell
            import resource

            for name, most in limits:
                resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))

        return subprocess.run(
            [sys.executable, "-m", "kmixer_cli", *map(str, arguments)],
            capture_output=True, text=True, cwd=cwd, env=os.environ | (env or {}),
            timeout=timeout, check=False, preexec_fn=limit if limits else None,
        )  # fmt: skip

    return run


@pytest.fixture
def run_command(monkeypatch):
    """A function that runs `kmixer` inside this process, whose Keras is started already.

    It is for what a command does and prints. What depends on a process of its own (the choice of a
    backend, signals, limits, start-up time) is tested with `kmixer_cli`.
    """

    def run(*arguments, cwd=None, env=None):
        words = [str(argument) for argument in arguments]
        with monkeypatch.context() as patch:
            patch.chdir(cwd or os.getcwd())
            patch.setattr(sys, "argv", ["kmixer", *words])
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            return run_here(words)

    return run


@pytest.fixture
def fake_hub(tmp_path, monkeypatch):
    """A `FakeHub` that the Hub's client asks instead of the real one, with a cache of its own."""
    from huggingface_hub import constants

    from fake_hub import serving

    with serving() as (hub, address):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
        hub.env = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home")}
        hub.cache = tmp_path / "hub"
        yield hub
