"""Choose the Keras backend before Keras is imported, from an environment that may be anyone's.

It imports no Keras itself.
"""

import gc
import json
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import KmixerWarning, SettingsError

BACKENDS = ("tensorflow", "jax", "torch")

# What kmixer's models are built for, by the names of keras.json and of `keras.config`.
KERAS_DEFAULTS = {"image_data_format": "channels_last", "floatx": "float32", "epsilon": 1e-7}


def prepare_environment() -> None:
    """Set aside what in the environment would stop Keras, or change what kmixer's models compute.

    It is called when kmixer is imported. An odd keras.json is not used, but for its backend, and a
    warning says so. Jupyter names its own module in MPLBACKEND, also to the processes that it
    starts; Keras imports Matplotlib, which refuses a module that is not installed there.
    """
    backend = os.environ.get("MPLBACKEND", "")
    module = backend.removeprefix("module://").partition(".")[0]
    if module != backend.partition(".")[0] and not (module and find_spec(module)):
        del os.environ["MPLBACKEND"]
    if keras := sys.modules.get("keras"):
        _reset(keras.config)
    elif oddity := _oddity():
        path = _keras_json()
        os.environ["KERAS_BACKEND"] = configured()
        os.environ["KERAS_HOME"] = os.devnull  # no folder: Keras neither reads nor writes there
        _warn(f"{path} is not used ({oddity}): kmixer's models need Keras' defaults")


def _reset(config: ModuleType) -> None:
    """Give a Keras that runs already its default settings."""
    for key, default in KERAS_DEFAULTS.items():
        if (value := getattr(config, key)()) != default:
            getattr(config, f"set_{key}")(default)
            _warn(f"keras.config.{key}: {value} became {default}, which kmixer's models need")


def _warn(message: str) -> None:
    warnings.warn(message, KmixerWarning, stacklevel=2)


def configured() -> str:
    """Return the backend of KERAS_BACKEND, else of keras.json, else the first that is installed.

    A keras.json that names TensorFlow does not count where TensorFlow is not installed: Keras
    writes one when it is first imported, whatever is installed. Nor does one that names what Keras
    2 had, such as Theano.
    """
    name = os.environ.get("KERAS_BACKEND") or _in_keras_json()
    if name and (name != "tensorflow" or find_spec("tensorflow")):
        return name
    return next(filter(find_spec, BACKENDS), BACKENDS[0])


def _in_keras_json() -> str | None:
    name = (_read_keras_json() or {}).get("backend")
    return name if name in BACKENDS else None


def _keras_json() -> Path:
    """Return where Keras reads keras.json; without a home it is not `Path.home()`, which fails."""
    home = os.path.expanduser("~")
    default = os.path.join(home if os.access(home, os.W_OK) else "/tmp", ".keras")
    return Path(os.path.expanduser(os.environ.get("KERAS_HOME", default)), "keras.json")


def _read_keras_json() -> dict[str, Any] | None:
    """Return the content of keras.json, or None where it is no JSON object."""
    try:
        values = json.loads(_keras_json().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _oddity() -> str:
    """Return what of keras.json is not as kmixer needs it, in words; nothing where all of it is."""
    if not os.path.exists(_keras_json()):
        return ""
    values = _read_keras_json()
    if values is None:
        return "it cannot be read, or is no JSON object"
    odd = [key for key, default in KERAS_DEFAULTS.items() if values.get(key, default) != default]
    if values.get("backend", "tensorflow") not in BACKENDS:
        odd.append("backend")
    return ", ".join(f"{key}: {values[key]!r}" for key in odd)


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
    if name == "tensorflow" or not _started:
        with suppress(ImportError):
            prepare_tensorflow()
    return name


def start(name: str | None = None) -> str:
    """Choose the backend and import Keras, in a process that is kmixer's own; see `choose`.

    What Keras and TensorFlow import for those who use it, and kmixer does not, is left out. It can
    be imported later, but Keras goes on as if it were not installed: hence not in a process that
    kmixer shares with others.
    """
    name = choose(name)
    if "keras" in sys.modules:
        return select(name)
    with _hidden(*_NOT_NEEDED[name]), without_collections():
        if name == "tensorflow":
            import_tensorflow()
        from keras.src.utils.module_utils import tensorflow

        # Keras asks once. If it is there, it is imported to seed it and to save a model.
        _started.append(bool(tensorflow.available))
    return name


# By the backend. Keras imports scikit-learn for its wrappers, Matplotlib for its galleries, JAX for
# a callback; TensorFlow imports JAX for a converter.
_NOT_NEEDED = {
    "tensorflow": ("sklearn", "matplotlib", "jax"),
    "jax": ("sklearn", "matplotlib", "tensorflow"),
    "torch": ("sklearn", "matplotlib", "tensorflow", "jax"),
}
_started: list[bool] = []  # of `start`: whether Keras has TensorFlow


@contextmanager
def without_collections() -> Iterator[None]:
    """Let no garbage be looked for, now or later, in what is made meanwhile: it stays."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _hidden(*names: str) -> Iterator[None]:
    """Let packages that are not imported yet seem not to be installed."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: not to be found
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


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
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        stderr = os.dup(2)
    except OSError:  # it is closed already
        yield
        return
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(devnull)
