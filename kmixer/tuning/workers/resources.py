"""What part of a machine each worker gets: cores of its own, or a GPU."""

import os
import shutil
import subprocess
from dataclasses import dataclass, field

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Share:
    """A worker's part of the machine.

    Attributes:
        cores: numbers of the processor's cores; None: all.
        environment: variables of its processes.
    """

    cores: list | None = None
    environment: dict = field(default_factory=dict)

    def environ(self):
        """Return the environment of its processes: the search hides the GPUs from itself alone."""
        rest = {name: value for name, value in os.environ.items() if name != VISIBLE}
        return rest | self.environment


def shares(workers):
    """Return one `Share` a worker; with fewer cores or GPUs than workers they are shared."""
    gpus, cores = _gpus(), _cores()
    parts = [cores[i::workers] for i in range(workers)] if len(cores) >= workers > 1 else None
    return [
        Share(
            parts[index] if parts else None,
            {VISIBLE: gpus[index % len(gpus)]} if gpus and workers > 1 else _visible(),
        )
        for index in range(workers)
    ]


def hide_gpus():
    """Leave the GPUs to the trials: this process builds models only to count their parameters."""
    os.environ[VISIBLE] = ""


def _visible():
    return {VISIBLE: os.environ[VISIBLE]} if VISIBLE in os.environ else {}


def _cores():
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return []


def _gpus():
    """Return the GPUs' names for CUDA_VISIBLE_DEVICES."""
    if VISIBLE in os.environ:
        return [name for name in os.environ[VISIBLE].split(",") if name and name != "-1"]
    if not shutil.which("nvidia-smi"):
        return []
    done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    names = [line for line in done.stdout.splitlines() if line.startswith("GPU ")]
    return [str(number) for number in range(len(names))]
