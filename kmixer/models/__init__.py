"""Models: builders that return a `keras.Model`; they know neither settings nor TensorFlow."""

from importlib import import_module
from typing import Any

_MODULES = {
    "SIZES": "variants",
    "Cnn": "cnn",
    "Mlp": "mlp",
    "MlpMixer": "mixer",
    "ShiftMlp": "shift_mlp",
    "count_flops": "flops",
    "default_patch_size": "variants",
    "mixer_size": "variants",
    "size_key": "variants",
}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    """Import what is asked for, and only then: the names of the sizes need no Keras."""
    if name not in _MODULES:
        raise AttributeError(f"module 'kmixer.models' has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
