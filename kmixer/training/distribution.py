"""One training on several devices: each computes its part of every batch.

JAX: `keras.distribution.DataParallel`, over the devices of one process or of several processes.
TensorFlow: `MirroredStrategy`, over the devices of one process. Keras has neither on torch.
"""

import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import keras

from ..errors import SettingsError

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
    def writes(self):
        """Whether this process writes the run folder."""
        return self.process == 0

    def even(self, size):
        """Return the largest number of images up to `size` that the devices share evenly."""
        return size - size % self.count

    def own(self, batch):
        """Return this process's rows of a batch, a nested tuple of arrays."""
        if self.processes == 1:
            return batch

        def rows(array):
            part = len(array) // self.processes
            return array[self.process * part : (self.process + 1) * part]

        return keras.tree.map_structure(rows, batch)


ALONE = Devices()


def find_devices(settings):
    """Return the `Devices` that the settings ask for; with JAX, wait for the other processes.

    It has to come before anything is computed.

    Raises:
        SettingsError: Keras cannot distribute on this backend, or the processes do not find
            each other.
    """
    check_backend(settings)
    if settings.training.distribute == "none":
        return ALONE
    return _FINDERS[keras.backend.backend()]()


def check_backend(settings):
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


def _find_jax():
    import jax

    _join()
    return Devices(jax.device_count(), jax.process_index(), jax.process_count())


def _join():
    """Meet the other processes, if Keras' or SLURM's variables name any; once a process."""
    import jax

    named = ADDRESSES in os.environ
    if jax.distributed.is_initialized() or not (named or _slurm_tasks() > 1):
        return
    options = {}
    if named:
        options = {
            "coordinator_address": os.environ[ADDRESSES].split(",")[0],
            "num_processes": _number(PROCESSES),
            "process_id": _number(PROCESS),
        }
    try:
        jax.distributed.initialize(
            **options, heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            initialization_timeout=START_SECONDS, shutdown_timeout_seconds=HEARTBEAT_SECONDS,
        )  # fmt: skip
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise SettingsError(f"training.distribute: the processes did not meet: {reason}") from None


def _slurm_tasks():
    return int(os.environ.get("SLURM_NTASKS", "1")) if "SLURM_JOB_ID" in os.environ else 1


def _number(name):
    try:
        return int(os.environ[name])
    except (KeyError, ValueError):
        raise SettingsError(
            f"{name}: received {os.environ.get(name)!r}, expected a number beside {ADDRESSES}"
        ) from None


def _find_tensorflow():
    from ..backend import import_tensorflow

    config = import_tensorflow().config
    return Devices(len(config.list_logical_devices("GPU") or config.list_logical_devices("CPU")))


_FINDERS = {"jax": _find_jax, "tensorflow": _find_tensorflow}


@contextmanager
def distributed(devices):
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

        tf = import_tensorflow()
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        names = [device.name for device in tf.config.list_logical_devices(kind)]
        with tf.distribute.MirroredStrategy(names).scope():
            yield


@contextmanager
def kept_or_thrown_away(devices, places):
    """Yield where a new run folder goes: for every process but the first, where it is thrown away.

    Every process saves, as Keras wants it, but only the first one's folder is kept.

    Args:
        devices: the `Devices`.
        places: root, stem, name and out, as `create_run` takes them.
    """
    if devices.writes:
        yield places
        return
    with tempfile.TemporaryDirectory(prefix="kmixer-") as folder:
        yield places | {"out": Path(folder) / "run"}


@contextmanager
def writing(run, devices):
    """Yield the run to go on with: the run itself, or a copy that is thrown away."""
    if devices.writes:
        yield run
        return
    with tempfile.TemporaryDirectory(prefix="kmixer-") as folder:
        yield replace(run, folder=Path(shutil.copytree(run.folder, Path(folder) / "run")))


def local_model(run, model, devices):
    """Return the model on this process's own device, with its weights of now."""
    if devices.count == 1:
        return model
    local = run.build_model()
    local.set_weights([keras.ops.convert_to_numpy(weight) for weight in model.weights])
    return local
