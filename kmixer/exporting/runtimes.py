"""Runtimes that open exported files: what their openers in `formats.py` share; needs no Keras."""

import os
import sys
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

Predict = Callable[[np.ndarray], np.ndarray]
Opener = Callable[[str, int | None], tuple[Predict, str]]


def import_openvino() -> Any:
    """Import and return OpenVINO without its telemetry, which it sends without asking.

    Without the package that sends, it uses a stub of its own.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: cannot be imported
    return import_module("openvino")


def refuse_pickles(path: str) -> None:
    """Let torch read only arrays from pickles for the rest of the process; refuse other objects."""
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    with zipfile.ZipFile(path) as archive:
        names = [Path(name).name for name in archive.namelist()]
    objects = [name for name in names if name.startswith(("custom_obj_", "opaque_obj_"))]
    if objects:
        raise ValueError(f"it holds the object {objects[0]}, which could run code")
