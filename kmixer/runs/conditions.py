"""The conditions under which a training's results are the same bit for bit, and their changes.

A run records them when it begins, and those of each later stretch that differ: versions, device,
number of threads, the processor's instructions, and settings of the libraries by which they choose
how to compute.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RunError
from . import provenance
from .run import FORMAT

if TYPE_CHECKING:
    from ..config import Settings
    from .run import Run

# What libraries choose their kernels by. The names are those of Linux, of x86-64 and of ARM.
INSTRUCTIONS = (
    "sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512", "amx", "asimd", "sve", "bf16",
    "i8mm",
)  # fmt: skip
# What changes, from outside of Python, how or in what order numbers are added.
VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_CBWR",
    "TF_NUM_INTRAOP_THREADS", "TF_ENABLE_ONEDNN_OPTS", "TF_DETERMINISTIC_OPS",
    "TF_CUDNN_DETERMINISTIC", "TF_XLA_FLAGS", "XLA_FLAGS", "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA", "NPROC", "NVIDIA_TF32_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG",
    "JAX_DEFAULT_MATMUL_PRECISION", "JAX_ENABLE_X64", "ATEN_CPU_CAPABILITY",
    "NPY_DISABLE_CPU_FEATURES",
)  # fmt: skip
JAX_SETTINGS = (
    "default matmul precision",
    "enable x64",
    "default prng impl",
    "threefry partitionable",
)
GPU_PACKAGES = ("nvidia-", "jax-cuda", "jax-rocm")
# By a run's backend, the packages whose versions its results depend on; TensorFlow makes batches.
PACKAGES = {
    "tensorflow": ("tensorflow",),
    "jax": ("jax", "jaxlib", "tensorflow"),
    "torch": ("torch", "tensorflow"),
}
COMMON_PACKAGES = ("python", "kmixer", "keras", "numpy", "pillow")

Stretch = dict[str, Any]


def present_stretch(settings: Settings) -> Stretch:
    """Return what a training that begins now is computed with, as YAML can hold it.

    Args:
        settings: resolved `Settings`, whose backend is in use.
    """
    return {
        "git_commit": provenance.git_commit(),
        "versions": provenance.versions(),
        "device": provenance.device(),
        "conditions": _conditions(settings),
    }


def stretches(info: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the stretches of a run: how it began, and each later one under other conditions.

    Args:
        info: the section `run` of its config.yaml.
    """
    later = info.get("resumed")
    return [info, *(s for s in later if isinstance(s, dict))] if isinstance(later, list) else [info]


def devices(info: Mapping[str, Any]) -> str:
    """Return the devices of a run's stretches, in their order."""
    names = [str(stretch.get("device")) for stretch in stretches(info)]
    return ", then ".join(dict.fromkeys(names))


def changes(before: Mapping[str, Any], now: Mapping[str, Any], backend: str | None) -> list[str]:
    """Return what differs between two stretches, such as `keras 3.14.0 → 3.15.1`.

    Args:
        before: a stretch.
        now: another one.
        backend: the run's.
    """
    told, present = _flat(before, backend), _flat(now, backend)
    recorded = isinstance(before.get("conditions"), dict)
    if not recorded:  # by a kmixer of an older format
        present = {key: value for key, value in present.items() if key in told}
    keys = [key for key in {**told, **present} if told.get(key) != present.get(key)]
    found = [_change(key, told.get(key), present.get(key)) for key in keys]
    return found if recorded else [*found, "threads and processor were not recorded"]


def check_conditions(run: Run, now: Stretch) -> None:
    """Refuse to go on with a run under other conditions than those it was begun under.

    Args:
        run: the `Run`.
        now: of `present_stretch`.

    Raises:
        RunError: one of the conditions does not hold any more.
    """
    if line := _changed(run, now):
        raise RunError(f"{run.folder}: {line}; go on where they hold, or without --strict")


def record_stretch(run: Run, now: Stretch) -> Run:
    """Record in config.yaml under which conditions a run goes on, if they differ from the last.

    Args:
        run: the `Run`, whose folder is locked.
        now: of `present_stretch`.

    Returns:
        The `Run` with that record.
    """
    *earlier, last = stretches(run.info)
    if run.info["format"] == FORMAT and not changes(last, now, run.settings.training.backend):
        return run
    later = [dict(stretch) for stretch in [*earlier, last][1:]]
    run = replace(run, info=run.info | {"format": FORMAT, "resumed": [*later, now]})
    run.write_config()
    return run


def resumed_elsewhere(run: Run) -> list[str]:
    """Return a line on what differs between a run's beginning and its last stretch, if anything."""
    line = _changed(run, stretches(run.info)[-1])
    return [line] if line else []


def _changed(run: Run, now: Mapping[str, Any]) -> str | None:
    backend = run.settings.training.backend
    before = stretches(run.info)
    found = [change for stretch in before for change in changes(stretch, now, backend)]
    if not found:
        return None
    return (
        f"begun under other conditions: {', '.join(dict.fromkeys(found))};"
        " results may differ in the last bits from those of a run that is not interrupted"
    )


def libraries(info: Mapping[str, Any], backend: str) -> str:
    """Return backend and Keras of a run's stretches, such as `jax 0.10.2 under Keras 3.15.1`."""
    named = []
    for stretch in stretches(info):
        versions = _versions(stretch)
        named.append(
            f"{backend} {versions.get(backend, '')} under Keras {versions.get('keras', '')}"
        )
    return ", then ".join(dict.fromkeys(named))


def _change(key: str, before: object, now: object) -> str:
    if isinstance(before, str) and isinstance(now, str) and key == "instructions":
        gone, new = set(before.split()) - set(now.split()), set(now.split()) - set(before.split())
        return (
            f"{key} {' '.join([*(f'-{i}' for i in sorted(gone)), *(f'+{i}' for i in sorted(new))])}"
        )
    return f"{key} {_short(before)} → {_short(now)}"


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return "none" if value is None else text if len(text) <= 60 else f"{text[:57]}…"


def _flat(stretch: Mapping[str, Any], backend: str | None) -> dict[str, Any]:
    versions = _versions(stretch)
    conditions = stretch.get("conditions")
    conditions = conditions if isinstance(conditions, dict) else {}
    names = (*COMMON_PACKAGES, *PACKAGES.get(backend or "", ()))
    # An older kmixer did not record all of them.
    flat = {name: versions.get(name) for name in names if name in versions or conditions}
    flat["device"] = stretch.get("device")
    for key, value in conditions.items():
        flat |= {str(k): v for k, v in value.items()} if isinstance(value, dict) else {key: value}
    return flat


def _versions(stretch: Mapping[str, Any]) -> Mapping[str, Any]:
    versions = stretch.get("versions")
    return versions if isinstance(versions, dict) else {}


def _conditions(settings: Settings) -> dict[str, Any]:
    import keras

    backend, training = keras.backend.backend(), settings.training
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "threads": _THREADS[backend](),
        **_processor(),
        "backend": backend,
        "precision": training.precision,
        "jit": training.jit,
        "distribute": training.distribute,
        "accelerators": provenance.accelerators(),
        "libraries": {**_LIBRARY_SETTINGS[backend](), **_gpu_packages()},
        "environment": _environment(),
    }


def _usable_cores() -> int:
    """Return on how many cores this process may run: as many threads the libraries start."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _tensorflow_threads() -> int:
    import tensorflow as tf

    return tf.config.threading.get_intra_op_parallelism_threads() or _usable_cores()


def _torch_threads() -> int:
    import torch

    return int(torch.get_num_threads())


_THREADS = {
    "tensorflow": _tensorflow_threads,
    "jax": _usable_cores,
    "torch": _torch_threads,
}


def bfloat16_units() -> list[str]:
    """Return the processor's instructions that multiply bfloat16, such as `avx512_bf16`."""
    return [name for name in _processor()["instructions"].split() if "bf16" in name]


def _processor() -> dict[str, Any]:
    """Return vendor, instructions and cache of the processor, as far as the system says."""
    values = {key: "" for key in ("vendor_id", "flags", "Features", "cache size")}
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in reversed(lines):  # the first processor's lines win
        key, _, value = line.partition(":")
        if key.strip() in values:
            values[key.strip()] = value.strip()
    flags = (values["flags"] or values["Features"]).split()
    known = sorted({flag for flag in flags if flag.startswith(INSTRUCTIONS)})
    return {
        "vendor": values["vendor_id"] or platform.processor() or None,
        "instructions": " ".join(known),
        "cache": values["cache size"] or None,
    }


def _tensorflow_settings() -> dict[str, Any]:
    import tensorflow as tf
    from tensorflow.python.framework import config

    return {
        "deterministic": config.is_op_determinism_enabled(),
        "TensorFloat-32": tf.config.experimental.tensor_float_32_execution_enabled(),
    }


def _jax_settings() -> dict[str, Any]:
    import jax

    values = jax.config.values
    return {name: values.get(f"jax_{name.replace(' ', '_')}") for name in JAX_SETTINGS}


def _torch_settings() -> dict[str, Any]:
    import torch

    return {
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul precision": torch.get_float32_matmul_precision(),
        "cuDNN benchmark": torch.backends.cudnn.benchmark,
        "oneDNN": torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled,
        "CPU capability": torch.backends.cpu.get_cpu_capability(),
    }


_LIBRARY_SETTINGS = {
    "tensorflow": _tensorflow_settings,
    "jax": _jax_settings,
    "torch": _torch_settings,
}


def _gpu_packages() -> dict[str, str]:
    """Return the versions of the packages that compute on a GPU, where there is one."""
    if not provenance.accelerators():
        return {}
    named = ((d.metadata["Name"] or "", d.version) for d in metadata.distributions())
    return {name: version for name, version in sorted(named) if name.startswith(GPU_PACKAGES)}


def _environment() -> dict[str, str]:
    """Return the variables that are set; what names a file is left out, it may be published."""
    values = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    kept = {name: " ".join(w for w in v.split() if "/" not in w) for name, v in values.items()}
    return {name: value for name, value in kept.items() if value}
