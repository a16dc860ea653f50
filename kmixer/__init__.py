"""kmixer: train, compare, tune and ship small all-MLP image classifiers on any Keras backend."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .backend import prepare_environment

if TYPE_CHECKING:
    from . import augment, layers, models, tuning
    from . import data as datasets
    from .api.run import Run, list_runs, load_run
    from .api.train import resume, train
    from .config import Settings
    from .config.loading import build_settings
    from .runs.import_weights import import_weights

__version__ = "0.2.0"
__all__ = [
    "Run",
    "Settings",
    "augment",
    "build_settings",
    "datasets",
    "import_weights",
    "layers",
    "list_runs",
    "load_run",
    "models",
    "resume",
    "train",
    "tuning",
]

_PACKAGES = {"datasets": "data"}  # public name → the package's, where they differ
_MODULES = {
    "Run": "api.run",
    "Settings": "config",
    "build_settings": "config.loading",
    "import_weights": "runs.import_weights",
    "list_runs": "api.run",
    "load_run": "api.run",
    "resume": "api.train",
    "train": "api.train",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, and only then: `import kmixer` loads neither Keras nor pydantic."""
    if name not in __all__:
        raise AttributeError(f"module 'kmixer' has no attribute {name!r}")
    if name not in _MODULES:
        return import_module(f".{_PACKAGES.get(name, name)}", __name__)
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


prepare_environment()  # Keras and Matplotlib read it once, when they are first imported
# With them `keras.saving.load_model` finds the classes in a run's model.keras. None in the place of
# Keras: it must not be imported.
if sys.modules.get("keras"):
    import_module(".layers", __name__)
    import_module(".training.optimizer", __name__)  # in the files of kmixer 0.1
