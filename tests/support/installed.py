"""Tests that need a backend which may not be installed."""

from importlib.util import find_spec

import pytest


def skip_without(backend: str) -> None:
    """Skip the test that calls this where a backend is not installed, without importing it."""
    if not find_spec(backend):
        pytest.skip(f"{backend} is not installed")
