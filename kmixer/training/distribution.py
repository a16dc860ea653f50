"""One training on several devices: each computes its part of every batch.

JAX: `keras.distribution.DataParallel`, over the devices of one process or of several processes.
TensorFlow: `MirroredStrategy`, over the devices of one process. Keras has neither on torch.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from ..errors import SettingsError, one_line

if TYPE_CHECKING:
    from ..config import Settings
    from ..runs.run import Run

ADDRESSES, PROCESSES, PROCESS = (
    f"KERAS_DISTRIBUTION_{name}" for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")
)
HEARTBEAT_SECONDS = 30  # after which a process that has gone is noticed
START_SECONDS = 120  # to wait for the others


@dataclass(frozen=True)
class Devices:
    """What a training is spread over.

    Attributes:
        count: of the devices, in all processes.
        process: this one's number, from 0.
        processes: how many there are.
    """

    count: int = 1
    process: int = 0
    processes: int = 1

    @property
    def is_primary(self) -> bool:
        """Whether this process writes the run folder."""
        return self.process == 0

    def round_down(self, size: int) -> int:
        """Return the largest number of images up to `size` that the devices share evenly."""
        return size - size % self.count

    def local_rows(self, batch: Any) -> Any:
        """Return this process's rows of a batch, a nested tuple of arrays."""
        if self.processes == 1:
            return batch

        def rows(array: np.ndarray) -> np.ndarray:
            part = len(array) // self.processes
            return array[self.process * part : (self.process + 1) * part]

        return keras.tree.map_structure(rows, batch)


SINGLE_DEVICE = Devices()


def find_devices(settings: Settings) -> Devices:
    """Return the `Devices` that the settings ask for; with JAX, wait for the other processes.

    It has to come before anything is computed.

    Raises:
        SettingsError: Keras cannot distribute on this backend, or the processes do not find
            each other.
    """
    check_backend(settings)
    if settings.training.distribute == "none":
        return SINGLE_DEVICE
    return _FINDERS[keras.backend.backend()]()


def check_backend(settings: Settings) -> None:
    """Refuse to distribute on a backend for which Keras cannot.

    Raises:
        SettingsError: `training.distribute` is on, on torch.
    """
    name = keras.backend.backend()
    if settings.training.distribute != "none" and name not in _FINDERS:
        raise SettingsError(
            f"training.distribute: received 'auto' on {name}, expected 'none': Keras distributes"
            " on jax and tensorflow alone"
        )


def _find_jax() -> Devices:
    import jax

    _join_processes()
    return Devices(jax.device_count(), jax.process_index(), jax.process_count())


def _join_processes() -> None:
    """Meet the other processes, if Keras' or SLURM's variables name any; once per process."""
    import jax

    named = ADDRESSES in os.environ
    if jax.distributed.is_initialized() or not (named or _slurm_tasks() > 1):
        return
    options: dict[str, Any] = {}
    if named:
        options = {
            "coordinator_address": os.environ[ADDRESSES].split(",")[0],
            "num_processes": _read_number(PROCESSES),
            "process_id": _read_number(PROCESS),
        }
    try:
        jax.distributed.initialize(
            **options, heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            initialization_timeout=START_SECONDS, shutdown_timeout_seconds=HEARTBEAT_SECONDS,
        )  # fmt: skip
    except (RuntimeError, ValueError) as error:
        raise SettingsError(
            f"training.distribute: the processes did not meet: {one_line(error)}"
        ) from None


def _slurm_tasks() -> int:
    return int(os.environ.get("SLURM_NTASKS", "1")) if "SLURM_JOB_ID" in os.environ else 1


def _read_number(variable: str) -> int:
    try:
        return int(os.environ[variable])
    except (KeyError, ValueError):
        raise SettingsError(
            f"{variable}: received {os.environ.get(variable)!r}, expected a number beside"
            f" {ADDRESSES}"
        ) from None


def _find_tensorflow() -> Devices:
    return Devices(len(_tensorflow_devices()))


def _tensorflow_devices() -> list[Any]:
    """Return TensorFlow's logical GPUs, or its CPUs where there is no GPU."""
    from ..backend import import_tensorflow

    config = import_tensorflow().config
    return list(config.list_logical_devices("GPU") or config.list_logical_devices("CPU"))


_FINDERS: dict[str, Callable[[], Devices]] = {"jax": _find_jax, "tensorflow": _find_tensorflow}


@contextmanager
def distributed(devices: Devices) -> Iterator[None]:
    """Let a model that is built, compiled and fitted inside compute on the devices."""
    if devices.count == 1:
        yield
    elif keras.backend.backend() == "jax":
        before = keras.distribution.distribution()
        keras.distribution.set_distribution(
            keras.distribution.DataParallel(auto_shard_dataset=False)
        )
        try:
            yield
        finally:
            keras.distribution.set_distribution(before)
    else:
        from ..backend import import_tensorflow

        names = [device.name for device in _tensorflow_devices()]
        with import_tensorflow().distribute.MirroredStrategy(names).scope():
            yield


@contextmanager
def run_location(devices: Devices, location: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield where to create a run folder: a temporary folder in all processes but the first.

    Every process saves, as Keras wants it, but only the first one's folder is kept.

    Args:
        devices: the `Devices`.
        location: root, stem, name and out, as `create_run` takes them.
    """
    if devices.is_primary:
        yield location
        return
    with tempfile.TemporaryDirectory(prefix="kmixer-") as folder:
        yield location | {"out": Path(folder) / "run"}


@contextmanager
def writable_run(run: Run, devices: Devices) -> Iterator[Run]:
    """Yield the run to resume: the run itself, or a temporary copy in all processes but the first.

    Args:
        run: the `Run`.
        devices: the `Devices`.
    """
    if devices.is_primary:
        yield run
        return
    with tempfile.TemporaryDirectory(prefix="kmixer-") as folder:
        yield replace(run, folder=Path(shutil.copytree(run.folder, Path(folder) / "run")))


def local_model(run: Run, model: keras.Model, devices: Devices) -> keras.Model:
    """Return the model on this process's own device, with the same weights."""
    if devices.count == 1:
        return model
    local = run.build_model()
    local.set_weights([keras.ops.convert_to_numpy(weight) for weight in model.weights])
    return local
