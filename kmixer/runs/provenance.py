"""Versions, commit, device and peak memory, for a run's config.yaml and metrics.json."""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path

from ..processes import program_output

PACKAGES = ("kmixer", "keras", "tensorflow", "jax", "jaxlib", "torch", "numpy", "pillow")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that a result depends on."""
    installed = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return installed


def git_commit() -> str | None:
    """Return the commit of the checkout that kmixer runs from, or None if it is installed.

    `-dirty` is appended where tracked files differ from the commit.
    """
    here = Path(__file__).parent
    if _git(here, "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    commit = _git(here, "rev-parse", "--short=12", "HEAD")
    dirty = _git(here, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}-dirty" if commit and dirty else commit


def _git(folder: Path, *words: str) -> str | None:
    return program_output("git", "-C", str(folder), *words)


def accelerators() -> list[str]:
    """Return the names of the GPUs or TPUs that the backend uses, such as `NVIDIA H100`."""
    import keras

    return _ACCELERATORS[keras.backend.backend()]()


def _torch_accelerators() -> list[str]:
    import torch

    return [torch.cuda.get_device_name()] if torch.cuda.is_available() else []


def _jax_accelerators() -> list[str]:
    import jax

    return [device.device_kind for device in jax.devices() if device.platform != "cpu"]


def _tensorflow_accelerators() -> list[str]:
    from tensorflow import config

    devices = [device for kind in ("GPU", "TPU") for device in config.list_physical_devices(kind)]
    details = ((device, config.experimental.get_device_details(device)) for device in devices)
    return [known.get("device_name", device.name) for device, known in details]


_ACCELERATORS = {
    "tensorflow": _tensorflow_accelerators,
    "jax": _jax_accelerators,
    "torch": _torch_accelerators,
}


def device() -> str:
    """Describe the device that the backend uses, such as `cpu, 2 cores (AMD EPYC)`."""
    return next(iter(accelerators()), processor())


def processor() -> str:
    """Describe the processor, such as `cpu, 2 cores (AMD EPYC)`."""
    return f"cpu, {os.cpu_count()} cores ({_processor_name()})"


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def peak_memory() -> int | None:
    """Return the process's peak resident memory in bytes; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
