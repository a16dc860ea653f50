"""The trackers by name, and whether their packages are there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..backend import import_tensorflow
from ..errors import SettingsError

if TYPE_CHECKING:
    from .tracker import Tracker


@dataclass(frozen=True)
class Kind:
    """A tracker that there is.

    Attributes:
        module: in this package; it has a function `tracker`.
        package: that it needs.
        install: what is installed for it.
    """

    module: str
    package: str
    install: str


KINDS = {
    "mlflow": Kind("mlflow_tracker", "mlflow", "'kmixer[mlflow]'"),
    "trackio": Kind("trackio_tracker", "trackio", "'kmixer[trackio]'"),
    "tensorboard": Kind("tensorboard_tracker", "tensorflow", "tensorflow tensorboard"),
}


def check_installed(names: Iterable[str]) -> None:
    """Refuse trackers whose package is missing, before anything is made.

    Args:
        names: of `KINDS`.

    Raises:
        SettingsError: naming the first of them, and what to install.
    """
    for name in names:
        kind = KINDS[name]
        if not _is_installed(kind.package):
            raise SettingsError(
                f"training.track: received {name!r}, expected {kind.package} to be installed with"
                f" it; install with: pip install {kind.install}"
            )


def _is_installed(package: str) -> bool:
    if package != "tensorflow":
        return find_spec(package) is not None
    try:
        import_tensorflow()  # a part of it may be there without the rest
    except ImportError:
        return False
    return True


def open_tracker(name: str) -> Tracker:
    """Import a tracker's package and return its `Tracker`.

    Args:
        name: of `KINDS`.
    """
    return import_module(f".{KINDS[name].module}", __package__).tracker()
