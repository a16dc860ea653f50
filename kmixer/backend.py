"""Which Keras backend runs, chosen before Keras is imported; imports no Keras itself."""

import json
import os
import sys
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from .errors import SettingsError

BACKENDS = ("tensorflow", "jax", "torch")

# Measured on CPU (docs/adr/0004, 0007, 0009): XLA makes TensorFlow's train step of all-MLP models
# faster and that of the small baselines up to four times slower, JAX cannot train without it, and
# torch.compile's start-up of minutes is not earned back by a small model.
JIT = {
    "tensorflow": ("mixer", "shift_mlp"),
    "jax": ("mixer", "shift_mlp", "mlp", "cnn"),
    "torch": (),
}


def configured():
    """Return the backend of KERAS_BACKEND, else of keras.json, else the first that is installed.

    A keras.json that names TensorFlow where there is none does not count: Keras itself writes that
    one when it is first imported, whatever is installed.
    """
    written = os.environ.get("KERAS_BACKEND") or _in_keras_json()
    if written and (written != "tensorflow" or find_spec("tensorflow")):
        return written
    return next(filter(find_spec, BACKENDS), BACKENDS[0])


def _in_keras_json():
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    try:
        return json.loads((home / "keras.json").read_text())["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def choose(name=None):
    """Make `name` (or the configured backend) the one that Keras will use; imports nothing slow.

    Args:
        name: `"tensorflow"`, `"jax"`, `"torch"` or None for KERAS_BACKEND, then keras.json.

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


def select(name=None):
    """Choose the backend and get ready for the import of Keras; see `choose`."""
    name = choose(name)
    with suppress(ImportError):
        tame_tensorflow()
    return name


def tame_tensorflow():
    """Import TensorFlow before Keras does: quietly, and off the accelerator of another backend.

    Keras imports it under every backend where it is installed, to seed it.

    Raises:
        ImportError: it is not installed.
    """
    tensorflow = import_tensorflow()
    if configured() != "tensorflow":
        with suppress(RuntimeError):  # it has them already
            tensorflow.config.set_visible_devices([], "GPU")


def _check_installed(name):
    if find_spec(name) is None:
        raise SettingsError(
            f"backend: {name!r} is not installed; install it with: pip install {name}"
        )


def import_tensorflow():
    """Import TensorFlow without the start-up notices of its C++ part and return it."""
    with _no_stderr():
        return import_module("tensorflow")


@contextmanager
def _no_stderr():
    """Point file descriptor 2 nowhere.

    TF_CPP_MIN_LOG_LEVEL does not reach the notices written before TensorFlow's logging is set up.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
