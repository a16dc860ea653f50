"""Imports that would otherwise write notices on the user's terminal, or send them away."""

import os
import sys
from contextlib import contextmanager
from importlib import import_module


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
