"""Choose the Keras backend before Keras is imported; imports no Keras itself."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from .errors import SettingsError

BACKENDS = ("tensorflow", "jax", "torch")


def configured() -> str:
    """Return the backend of KERAS_BACKEND, else of keras.json, else the first that is installed.

    A keras.json that names TensorFlow does not count where TensorFlow is not installed: Keras
    writes one when it is first imported, whatever is installed.
    """
    name = os.environ.get("KERAS_BACKEND") or _in_keras_json()
    if name and (name != "tensorflow" or find_spec("tensorflow")):
        return name
    return next(filter(find_spec, BACKENDS), BACKENDS[0])


def _in_keras_json() -> str | None:
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    try:
        name: str = json.loads((home / "keras.json").read_text())["backend"]
        return name
    except (OSError, ValueError, KeyError, TypeError):
        return None


def choose(name: str | None = None) -> str:
    """Set KERAS_BACKEND, which Keras reads when it is imported; imports nothing slow.

    Args:
        name: `"tensorflow"`, `"jax"`, `"torch"`, or None for the configured backend.

    Returns:
        The name of the backend.

    Raises:
        SettingsError: it is unknown, not installed, or Keras already runs on another one.
    """
    name = name or configured()
    if name not in BACKENDS:
        raise SettingsError(f"backend: received {name!r}, expected one of {', '.join(BACKENDS)}")
    if "keras" in sys.modules:
        running = sys.modules["keras"].backend.backend()
        if running != name:
            raise SettingsError(
                f"backend: received {name!r}, but Keras already runs on {running!r} in this"
                " process; set KERAS_BACKEND before importing keras, or start a new process"
            )
        return name
    _check_installed(name)
    os.environ["KERAS_BACKEND"] = name
    return name


def select(name: str | None = None) -> str:
    """Choose the backend and import TensorFlow, so that Keras can be imported; see `choose`."""
    name = choose(name)
    with suppress(ImportError):
        prepare_tensorflow()
    return name


def prepare_tensorflow() -> None:
    """Import TensorFlow without its notices, and hide the GPUs from it under another backend.

    Keras imports TensorFlow under every backend, if it is installed, to seed it.

    Raises:
        ImportError: it is not installed.
    """
    tensorflow = import_tensorflow()
    if configured() != "tensorflow":
        with suppress(RuntimeError):  # it uses them already
            tensorflow.config.set_visible_devices([], "GPU")


def _check_installed(name: str) -> None:
    if find_spec(name) is None:
        raise SettingsError(
            f"backend: {name!r} is not installed; install it with: pip install {name}"
        )


def import_tensorflow() -> ModuleType:
    """Import TensorFlow without the start-up notices of its C++ part and return it."""
    with _no_stderr():
        return import_module("tensorflow")


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Discard what is written to file descriptor 2.

    TF_CPP_MIN_LOG_LEVEL does not reach the notices written before TensorFlow's logging is set up.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr, devnull = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(devnull)
