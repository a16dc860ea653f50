"""kmixer: train, compare, tune and ship small all-MLP image classifiers on any Keras backend."""

from importlib import import_module

__version__ = "0.1.0"

_MODULES = {
    "Settings": "config",
    "build_settings": "config.loading",
    "import_weights": "runs.import_weights",
    "load_run": "runs.run",
    "train": "training.train",
    "resume": "training.train",
}
_PACKAGES = ("augment", "layers", "models", "tuning")
__all__ = ["Settings", "build_settings", "import_weights", "load_run", "resume", "train"]


def __getattr__(name):
    """Import what is asked for, and only then: `import kmixer` loads neither Keras nor pydantic."""
    if name in _PACKAGES:
        return import_module(f".{name}", __name__)
    if name not in _MODULES:
        raise AttributeError(f"module 'kmixer' has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__():
    return sorted([*__all__, *_PACKAGES, "__version__"])
