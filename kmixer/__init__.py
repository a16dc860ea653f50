"""kmixer: train, compare, tune and ship small all-MLP image classifiers on any Keras backend."""

import time

STARTED = time.perf_counter()  # as near to the command's start as the library can know

__version__ = "0.1.0"
__all__ = ["Settings", "build_settings", "import_weights", "load_run", "resume", "train"]

_HOMES = {
    "Settings": ("config", "Settings"),
    "build_settings": ("config.loading", "build"),
    "import_weights": ("pretrained", "import_weights"),
    "load_run": ("runs", "load_run"),
    "train": ("training", "train"),
    "resume": ("training", "resume"),
}


def __getattr__(name):
    """Import what is asked for, and only then: `import kmixer` loads neither Keras nor pydantic."""
    if name not in _HOMES:
        raise AttributeError(f"module 'kmixer' has no attribute {name!r}")
    from importlib import import_module

    home, attribute = _HOMES[name]
    return getattr(import_module(f".{home}", __name__), attribute)
